"""Radiation damage curves."""

import math

import pytest
import torch

from torchsag.imaging.dose import critical_exposure, remaining_signal


def test_critical_exposure_is_the_published_curve():
    """Grant & Grigorieff 2015: 0.24499 s^-1.6649 + 2.8141 electrons per square angstrom at 300 kV."""
    s = torch.tensor([0.05, 0.1, 0.25, 1.0], dtype=torch.float64)
    expected = [0.24499 * f**-1.6649 + 2.8141 for f in s.tolist()]
    assert critical_exposure(s).tolist() == pytest.approx(expected)
    assert critical_exposure(s, 200.0).tolist() == pytest.approx([0.8 * e for e in expected])


def test_signal_at_the_critical_exposure():
    s = torch.tensor([0.1], dtype=torch.float64)
    assert float(remaining_signal(s, critical_exposure(s))) == pytest.approx(math.exp(-0.5))


def test_fine_detail_goes_first_and_the_mean_stays():
    left = remaining_signal(torch.tensor([0.0, 0.02, 0.1, 0.3]), 40.0)
    assert float(left[0]) == pytest.approx(1.0, abs=1e-5)
    assert bool((left[1:] < left[:-1]).all())
