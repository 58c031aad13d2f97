"""Random lists through every pair of formats and back."""

import itertools
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_lists import FORMATS, RandomList, passed_on, random_lists, require_same

PAIRS = list(itertools.product(FORMATS, repeat=2))
# The same lists every time, and no search for the smallest failing one, which takes minutes.
FIXED = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def there_and_back(drawn, first, second):
    """Through the first format into the second, and back into the first."""
    with tempfile.TemporaryDirectory() as folder:
        chain = (first, second, first)
        require_same(passed_on(drawn, Path(folder), chain), drawn, chain)


@settings(FIXED, max_examples=30)
@given(random_lists(), st.sampled_from(PAIRS))
def test_a_random_list_comes_back_from_a_pair_of_formats(drawn, pair):
    there_and_back(drawn, *pair)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_many_random_lists_come_back_from_every_pair_of_formats(pair):
    settings(FIXED, max_examples=100)(given(random_lists())(lambda drawn: there_and_back(drawn, *pair)))()


def test_a_list_that_lost_something_would_be_seen(tmp_path):
    drawn = RandomList([1], ["a"], [(1.0, 2.0, 3.0)], [(1.0, 2.0, 3.0)], [(0.0, 0.0, 0.0)], [2], [1], ["t"], (-60, 60))
    found = passed_on(drawn, tmp_path, ("pytom",))
    require_same(found, drawn, ("pytom",))
    found.poses(1.0).shifts[0, 1] += 1e-4
    with pytest.raises(AssertionError):
        require_same(found, drawn, ("pytom",))
