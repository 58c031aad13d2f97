"""Modulation transfer functions of detectors."""

import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.imaging.detector import Detector, MeasuredDetector, PerfectDetector, PixelDetector


@pytest.mark.parametrize("detector", [PerfectDetector(), PixelDetector(), MeasuredDetector([0.0, 0.5], [1.0, 0.3])])
def test_every_detector_passes_the_mean_unchanged(detector):
    assert isinstance(detector, Detector)
    curve = detector.mtf(torch.linspace(0, 0.75, 50))
    assert float(curve[0]) == 1.0
    assert float(curve.min()) > 0
    assert bool((curve[1:] <= curve[:-1]).all())


def test_pixel_detector_is_the_transform_of_a_pixel():
    """Truth: the average of a cosine over one pixel."""
    for frequency in (0.1, 0.25, 0.5):
        x = torch.linspace(-0.5, 0.5, 20_001, dtype=torch.float64)
        average = torch.trapezoid(torch.cos(2 * math.pi * frequency * x), x)
        found = PixelDetector().mtf(torch.tensor([frequency], dtype=torch.float64))
        assert float(found) == pytest.approx(float(average), abs=1e-6)
    assert float(PixelDetector().mtf(torch.tensor([0.5]))) == pytest.approx(2 / math.pi)


def test_measured_detector_goes_through_its_points():
    detector = MeasuredDetector([0.0, 0.2, 0.5], [1.0, 0.8, 0.2])
    found = detector.mtf(torch.tensor([0.0, 0.1, 0.2, 0.35, 0.5, 0.7]))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.9, 0.8, 0.5, 0.2, 0.2]))


@pytest.mark.parametrize(
    ("frequencies", "values"), [([0.0, 0.5], [1.0]), ([0.0, 0.0], [1.0, 1.0]), ([0.1, 0.5], [1.0, 0.5]), ([0.0], [1.0])]
)
def test_refuses_impossible_curves(frequencies, values):
    with pytest.raises(InputError, match="detector: expected"):
        MeasuredDetector(frequencies, values)
