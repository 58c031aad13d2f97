import numpy as np
import pytest
from scipy import stats

from torchsag.evaluation.confidence import exact_share_interval, mean_interval, median_interval, share_interval


def test_the_ranks_are_those_of_the_tables():
    """Conover's table: 20 values, the 6th and the 15th; below 6 values there is no interval at 95 %."""
    assert median_interval(np.arange(1.0, 21)) == (6, 15)
    assert median_interval(np.arange(1.0, 7)) == (1, 6)
    assert median_interval(np.arange(1.0, 6)) is None
    assert median_interval([]) is None
    assert median_interval(np.array([*range(1, 7), float("nan")])) == (1, 6)


@pytest.mark.parametrize("count", [6, 9, 20, 50])
def test_the_interval_holds_the_median_as_often_as_it_says(count):
    draws = np.random.default_rng(count).exponential(size=(2000, count))
    found = [median_interval(values) for values in draws]
    held = np.mean([low <= np.log(2) <= high for low, high in found])
    assert 0.94 < held <= 1


def test_the_interval_of_a_mean_is_students():
    low, high = mean_interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-5)
    assert mean_interval([1.0]) is None


def test_the_interval_of_a_share_is_wilsons():
    assert share_interval(0, 10) == pytest.approx((0, 0.277533), abs=1e-5)
    assert share_interval(1, 0) is None


def test_exact_intervals_of_shares_are_those_of_the_binomial_distribution():
    # With none in n the upper end p is where (1 - p)^n is what may be missed on one side.
    assert exact_share_interval(0, 200) == pytest.approx((0, 1 - 0.025 ** (1 / 200)))
    low, high = exact_share_interval(3, 20)
    assert stats.binom.sf(2, 20, low) == pytest.approx(0.025)
    assert stats.binom.cdf(3, 20, high) == pytest.approx(0.025)
    assert exact_share_interval(0, 0) is None
