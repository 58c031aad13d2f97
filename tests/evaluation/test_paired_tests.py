"""Paired tests against values worked out by hand and against nothing being there to find."""

import numpy as np
import pytest

from torchsag.errors import InputError
from torchsag.evaluation.paired_tests import holm, paired_tests


def test_small_example_by_hand():
    """Differences 1, 2, 3, 4, -1: mean 1.8, variance 3.7; ranks of 1.5 for the ones."""
    (test,) = paired_tests({"a": np.array([2.0, 3, 4, 5, 0]), "b": np.ones(5)})
    assert (test.first, test.second, test.particles) == ("a", "b", 5)
    assert test.mean_difference == pytest.approx(1.8)
    assert test.median_difference == pytest.approx(2.0)
    assert test.cohen_d == pytest.approx(1.8 / 3.7**0.5)
    assert test.rank_biserial == pytest.approx((1.5 + 3 + 4 + 5 - 1.5) / 15)
    # t = 1.8 / sqrt(3.7 / 5) = 2.0925 with 4 degrees of freedom
    assert test.t_p == pytest.approx(0.10454, abs=2e-4)


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1.0, 1.0])


def test_few_false_alarms_without_a_difference():
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(100):
        tests = paired_tests({name: random.normal(size=20) for name in "abcd"})
        alarms += min(test.t_p_holm for test in tests) < 0.05
    assert alarms <= 12  # 5 % of 100 expected at most, and some room


def test_a_clear_difference_is_found():
    random = np.random.default_rng(1)
    noise = random.normal(size=20)
    (test,) = paired_tests({"better": noise + 0.5 + 0.1 * random.normal(size=20), "worse": noise})
    assert test.t_p_holm < 1e-6
    assert test.wilcoxon_p_holm < 1e-3
    assert test.rank_biserial == 1.0


def test_equal_values_and_missing_ones():
    (test,) = paired_tests({"a": np.array([1.0, 2, np.nan]), "b": np.array([1.0, 2, 3])})
    assert (test.particles, test.t_p, test.wilcoxon_p, test.cohen_d) == (2, 1.0, 1.0, 0.0)


@pytest.mark.parametrize("other", [np.ones(3), np.array([np.nan, 1.0])])
def test_too_little_to_compare(other):
    with pytest.raises(InputError, match="paired tests: expected"):
        paired_tests({"a": np.ones(2), "b": other})
