import pytest
import torch

from torchsag.averaging.symmetry_axes import find_symmetry_axes
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.particles import DensityMap


def _symmetric_map(structure, symmetry, pose, n):
    """The structure and its mates about axes that stand at `pose`."""
    mates = Poses(pose.rotations @ symmetry.rotations.float(), pose.shifts.expand(symmetry.order, 3))
    return structure.volumes(mates, n).mean(0)


@pytest.mark.parametrize("name", ["C3", "D2"])
def test_axes_of_a_turned_and_shifted_map_are_found(blobs, name):
    n, symmetry = 24, Symmetry(name)
    pose = Poses(random_rotations(1, torch.Generator().manual_seed(5)), torch.tensor([[0.5, -0.7, 0.4]]))
    density = _symmetric_map(blobs(4.5, 10), symmetry, pose, n)
    density = density + 0.05 * density.std() * torch.randn(n, n, n, generator=torch.Generator().manual_seed(0))
    found = find_symmetry_axes(DensityMap(density, 6.0), symmetry, last_shell=6)
    assert found.agreement > 0.99
    # A turn about the axis of C3, or onto another of the three axes of D2, is as good: judge by what it is for.
    straight = found.pose.inverse().compose(pose)
    standing = _symmetric_map(blobs(4.5, 10), symmetry, straight, n)[1:, 1:, 1:]
    if name == "D2":
        assert float((standing - standing.flip(-1, -2)).abs().max()) < 0.03 * float(standing.max())
    else:
        assert float(straight.rotations[0, 2, 2].abs()) > 0.9999
        assert float(straight.shifts[0, :2].norm()) < 0.05


def test_an_asymmetric_map_agrees_less(blobs):
    density = blobs(4.5, 10).map(24)
    assert find_symmetry_axes(DensityMap(density, 6.0), Symmetry("C3"), last_shell=6).agreement < 0.9


def test_no_symmetry_needs_no_search(blobs):
    found = find_symmetry_axes(DensityMap(blobs(4.0).map(16), 6.0), Symmetry("C1"), last_shell=4)
    assert torch.equal(found.pose.rotations, torch.eye(3)[None])
    assert found.agreement == 1
