"""The Euler grid leaves no gaps and no repeats."""

import math

import pytest
import torch

from torchsag.geometry import Symmetry, random_rotations
from torchsag.geometry.rotations import axis_rotation
from torchsag.harmonics import EulerGrid


@pytest.mark.parametrize(("degree", "fold"), [(5, 1), (8, 7), (6, 14)])
def test_rotations_are_the_angles(degree, fold):
    grid = EulerGrid(degree, fold)
    rotations = grid.rotations()
    assert rotations.shape == (*grid.shape, 3, 3)
    a, g, b = 1, len(grid.gamma) - 1, 2
    expected = axis_rotation("z", grid.alpha[a]) @ axis_rotation("y", grid.beta[b]) @ axis_rotation("z", grid.gamma[g])
    torch.testing.assert_close(rotations[a, g, b], expected)


@pytest.mark.parametrize("fold", [1, 7])
def test_every_rotation_is_close_to_the_grid(fold):
    """Modulo the reference's symmetry; the step is pi / (degree + 1)."""
    grid = EulerGrid(7, fold)
    anywhere = random_rotations(300, torch.Generator().manual_seed(0), torch.float64)
    nearest = Symmetry(f"C{fold}").distance(anywhere[:, None], grid.rotations().flatten(0, 2)[None]).amin(1)
    assert float(nearest.max()) < math.pi / 8
    assert float(nearest.max()) > math.pi / 24


@pytest.mark.parametrize("fold", [1, 3, 7])
def test_no_rotation_twice(fold):
    rotations = EulerGrid(4, fold).rotations().flatten(0, 2)
    distance = Symmetry(f"C{fold}").distance(rotations[:, None], rotations[None])
    distance.fill_diagonal_(math.pi)
    assert float(distance.min()) > 0.05
