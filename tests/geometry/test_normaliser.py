import pytest
import torch

from torchsag.geometry import Symmetry, rotvec_to_matrix
from torchsag.geometry.normaliser import nearest_in_normaliser

GROUPS = ["C2", "C3", "C7", "D1", "D2", "D3", "D7", "T", "O", "I"]


def some_rotations(count=20):
    return rotvec_to_matrix(3 * torch.randn(count, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))


@pytest.mark.parametrize("name", GROUPS)
def test_the_axes_stay_where_they_are(name):
    symmetry = Symmetry(name)
    for rotation in some_rotations():
        assert symmetry.is_closed_under(nearest_in_normaliser(symmetry, rotation))


@pytest.mark.parametrize("name", GROUPS)
def test_a_rotation_of_the_group_is_its_own_nearest(name):
    symmetry = Symmetry(name)
    for rotation in symmetry.rotations:
        torch.testing.assert_close(nearest_in_normaliser(symmetry, rotation), rotation)


@pytest.mark.parametrize(("name", "angle"), [("D7", torch.pi / 7), ("D2", torch.pi / 2), ("C5", 1.0)])
def test_turns_about_z_between_equal_maps_beyond_the_group(name, angle):
    rotation = rotvec_to_matrix(torch.tensor([0.0, 0.0, angle], dtype=torch.float64))
    torch.testing.assert_close(nearest_in_normaliser(Symmetry(name), rotation), rotation)
