"""A map made fit to be a model."""

import pytest
import torch

from torchsag.imaging.masks import centred_radius
from torchsag.imaging.reference import isolated, radius_of_gyration


@pytest.mark.parametrize("n", [24, 25])
def test_background_goes_and_the_middle_stays(n):
    radius = centred_radius((n, n, n))
    blob = torch.exp(-radius.square() / 8)
    found = isolated(blob + 7.0)
    inside = radius < 0.3 * n
    torch.testing.assert_close(found[inside], blob[inside], atol=1e-3, rtol=0)
    assert float(found[radius > 0.5 * n + 2.5].abs().max()) == 0
    assert float(found[0].abs().max()) < 1e-3


def test_neighbours_in_the_corners_do_not_count():
    density = torch.zeros(24, 24, 24)
    density[12, 12, 12] = 1.0
    density[0, 0, 0] = 100.0
    assert float(isolated(density)[0, 0, 0]) == 0
    assert float(isolated(density)[12, 12, 12]) == 1.0


def test_radius_of_gyration_of_a_gaussian():
    """Squared density of width sigma / sqrt(2) along each of three axes."""
    radius = centred_radius((32, 32, 32))
    blob = torch.exp(-radius.square() / (2 * 4.0**2))
    assert radius_of_gyration(blob) == pytest.approx(4.0 * (3 / 2) ** 0.5, rel=1e-3)
    assert radius_of_gyration(-3 * blob) == pytest.approx(radius_of_gyration(blob))
