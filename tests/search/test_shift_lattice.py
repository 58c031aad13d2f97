"""The lattice of trial shifts covers its ball, and no thicker than it must."""

import math

import pytest
import torch

from torchsag.search.shift_lattice import shift_lattice


@pytest.mark.parametrize(("radius", "covering"), [(4.0, 1.3), (3.0, 2.0), (1.0, 1.5), (5.0, 0.9)])
def test_no_point_is_farther_than_the_covering(radius, covering):
    """But for the outermost shell, half as thick as the covering, where it may be half as much again."""
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=-1)
    distance = radius * torch.rand(4000, 1, generator=generator).mul(2).clamp_max(1).pow(1 / 3)  # half on the rim
    nearest = torch.cdist(direction * distance, shift_lattice(radius, covering)).amin(1)
    inner = distance[:, 0] <= radius - covering / 2
    assert inner.any()
    assert float(nearest[inner].max()) <= covering + 1e-5
    assert float(nearest.max()) <= 1.5 * covering


def test_is_body_centred_and_thin():
    """The density of the body-centred covering is ``5 sqrt(5) pi / 24 = 1.46`` balls per point of space."""
    lattice = shift_lattice(10.0, 1.0)
    assert float(lattice[0].norm()) == 0
    assert bool((lattice.norm(dim=-1).diff() >= -1e-5).all())
    assert float(lattice.norm(dim=-1).max()) <= 10.5
    apart = torch.cdist(lattice, lattice).fill_diagonal_(9.0).amin(1)
    torch.testing.assert_close(apart, torch.full_like(apart, math.sqrt(3 / 5) * 2), atol=1e-4, rtol=0)
    assert len(lattice) == pytest.approx(5 * math.sqrt(5) * math.pi / 24 * 10.5**3, rel=0.05)


def test_no_radius_is_the_centre_alone():
    torch.testing.assert_close(shift_lattice(0.0, 1.0), torch.zeros(1, 3))
