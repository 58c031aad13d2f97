"""Changes of a map against structures that are known on every grid and at every pose."""

import math

import pytest
import torch

from torchsag.averaging.map_changes import MapChanges, centre_of_structure
from torchsag.errors import InputError
from torchsag.fourier import low_pass, resample
from torchsag.geometry import Poses, Symmetry, rotation_distance
from torchsag.geometry.rotations import rotvec_to_matrix
from torchsag.imaging.masks import spherical_mask
from torchsag.particles import DensityMap

VOXEL = 5.0


def off(found, expected):
    return float((found - expected).norm() / expected.norm())


def pose(turn=(0.0, 0.0, 0.0), shift=(0.0, 0.0, 0.0)):
    return Poses(
        rotvec_to_matrix(torch.tensor([turn], dtype=torch.float64)), torch.tensor([shift], dtype=torch.float64)
    )


@pytest.fixture
def sample(blobs):
    """Blobs off the centre, in a box of 32 voxels."""
    structure = blobs(radius=6.0, count=10)
    return structure, DensityMap(structure.volumes(pose(), 32)[0], VOXEL)


def test_without_changes_the_map_stays_word_for_word(sample):
    assert torch.equal(MapChanges().change(sample[1]).density_map.density, sample[1].density)


@pytest.mark.parametrize(("size", "box"), [(4.0, 40), (6.0, 27), (6.0, 40), (6.5, 24)])
def test_a_rescaled_map_is_the_structure_sampled_anew(sample, size, box):
    structure, given = sample
    found = MapChanges(new_voxel_size_angstrom=size, box=box).change(given).density_map
    scale = VOXEL / size
    finer = type(structure)(structure.centres * scale, structure.heights, structure.width * scale)
    assert (found.voxel_size, found.box) == (pytest.approx(size), (box, box, box))
    assert off(found.density, finer.map(box)) < 5e-3


def test_rescaling_keeps_the_extent_and_whether_the_box_is_odd(sample):
    for n, size, expected in ((32, 10.0, 16), (32, 4.9, 32), (33, 10.0, 17), (32, 6.0, 26)):
        given = DensityMap(sample[0].map(n), VOXEL)
        assert MapChanges(new_voxel_size_angstrom=size).change(given).density_map.box == (expected,) * 3


def test_rescaling_by_a_whole_factor_is_fourier_cropping(sample):
    found = MapChanges(new_voxel_size_angstrom=2 * VOXEL).change(sample[1]).density_map
    assert off(found.density, resample(sample[1].density, (16, 16, 16))) < 5e-3


def test_a_background_is_neither_rung_nor_lost(sample):
    raised = DensityMap(sample[1].density + 100.0, VOXEL)
    for changes in (MapChanges(new_voxel_size_angstrom=4.0, box=48), MapChanges(box=48), MapChanges(symmetry="C2")):
        high, low = changes.change(raised).density_map.density, changes.change(sample[1]).density_map.density
        torch.testing.assert_close(high, low + 100.0, atol=2e-2, rtol=0)


@pytest.mark.parametrize("box", [20, 21, 40, 41])
def test_a_new_box_keeps_the_centre(sample, box):
    found = MapChanges(box=box).change(sample[1]).density_map
    assert off(found.density, sample[0].map(box)) < 1e-3
    assert found.density[box // 2, box // 2, box // 2] == sample[1].density[16, 16, 16]


def test_recentring_finds_the_centre_of_mass(blobs):
    structure = blobs(radius=4.0, count=30)
    shift = torch.tensor([4.0, -3.0, 2.5], dtype=torch.float64)
    centre = (structure.heights[:, None] * structure.centres).sum(0) / structure.heights.sum()
    given = DensityMap(structure.volumes(pose(shift=shift.tolist()), 32)[0], VOXEL)
    torch.testing.assert_close(centre_of_structure(given).double(), centre + shift, atol=0.1, rtol=0)
    found = MapChanges(recentre=True).change(given)
    torch.testing.assert_close(found.moved.double(), -(centre + shift), atol=0.1, rtol=0)
    assert off(found.density_map.density, structure.volumes(pose(shift=(-centre).tolist()), 32)[0]) < 0.1


def test_noise_hardly_moves_the_centre(blobs):
    structure = blobs(radius=4.0, count=30)
    clean = structure.volumes(pose(shift=(4.0, -3.0, 2.5)), 32)[0]
    noise = 0.3 * float(clean.max()) * torch.randn(32, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        centre_of_structure(DensityMap(clean + noise, VOXEL)), centre_of_structure(DensityMap(clean, VOXEL)),
        atol=1.0, rtol=0,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["C3", pytest.param("D2", marks=pytest.mark.slow)])
def test_a_symmetric_structure_is_turned_upright(blobs, name):
    """The map then has the symmetry about RELION's axes, and shows the same structure."""
    group = Symmetry(name)
    part = blobs(radius=7.0, count=6)
    centres = torch.einsum("sij,gj->sgi", group.rotations, part.centres).reshape(-1, 3)
    whole = type(part)(centres, part.heights.repeat(group.order))
    placed = pose((0.5, -0.3, 0.4), (1.5, -1.0, 0.0))
    given = DensityMap(whole.volumes(placed, 32)[0], VOXEL)
    found = MapChanges(symmetry=name, find_axes=True, symmetrise=False).change(given)
    density = found.density_map.density * spherical_mask((32, 32, 32))
    mates = MapChanges(symmetry=name).change(found.density_map).density_map.density * spherical_mask((32, 32, 32))
    assert found.axes.agreement > 0.98
    assert off(density, mates) < 0.05
    # No more than it was turned: the least turn to any of the poses that put the group onto its axes.
    turn = rotation_distance(found.axes.pose.rotations.double(), torch.eye(3, dtype=torch.float64)[None])
    assert float(turn) <= float(placed.rotations[0].trace().sub(1).div(2).acos()) + 0.02


@pytest.mark.slow
def test_an_upright_map_stays_as_it_is(blobs):
    group = Symmetry("D2")
    part = blobs(radius=7.0, count=6)
    centres = torch.einsum("sij,gj->sgi", group.rotations, part.centres).reshape(-1, 3)
    given = DensityMap(type(part)(centres, part.heights.repeat(4)).map(32), VOXEL)
    found = MapChanges(symmetry="D2", find_axes=True).change(given)
    assert off(found.density_map.density, given.density) < 0.03


def test_filters_are_those_of_the_library_and_leave_a_band(sample):
    given = sample[1]
    found = MapChanges(low_pass_angstrom=20.0).change(given).density_map.density
    torch.testing.assert_close(found, low_pass(given.density, 20.0, VOXEL))
    band = MapChanges(high_pass_angstrom=20.0).change(given).density_map.density
    torch.testing.assert_close(band + found, given.density, atol=1e-4, rtol=0)
    assert abs(float(band.mean())) < 1e-6


def test_contrast_and_hand_undo_themselves(sample):
    changes = MapChanges(invert=True, mirror=True)
    once = changes.change(sample[1]).density_map
    assert once.density[16, 16, 16] == -sample[1].density[16, 16, 16]
    assert off(once.density, -sample[1].density) > 0.3
    assert torch.equal(changes.change(once).density_map.density, sample[1].density)


def test_a_mask_is_multiplied_before_the_grid_changes(sample):
    class Ball:
        def __call__(self, half_map, resolution_angstrom):
            assert half_map.box == (32, 32, 32)
            return spherical_mask(half_map.box, 5.0, 2.0)

    found = MapChanges(mask=Ball(), box=40).change(sample[1]).density_map.density
    assert float(found[20, 20, 28:].abs().max()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"find_axes": True}, "find_axes: expected a symmetry whose axes to find"),
        ({"low_pass_angstrom": -3.0}, "low_pass_angstrom: expected a length above 0"),
        ({"low_pass_angstrom": 4.0}, "low_pass_angstrom: expected at least 10 angstrom, two voxels of the map, got 4"),
        ({"low_pass_angstrom": 40.0, "high_pass_angstrom": 30.0}, "or nothing is left, got 30 and 40"),
        ({"b_factor_angstrom2": math.nan}, "b_factor_angstrom2: expected a finite number"),
        ({"box": 1}, "box: expected 2 to 1024 voxels, got 1"),
        ({"new_voxel_size_angstrom": 0.01}, "new_voxel_size_angstrom: expected a map of at most 1024 voxels"),
        ({"symmetry": "D7"}, "symmetry: expected a map in a cubic box, got (8, 10, 8)"),
        ({"symmetry": "X7"}, "symmetry: expected C1, Cn"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, sentence):
    given = DensityMap(torch.rand(8, 10, 8), VOXEL)
    with pytest.raises(InputError) as refusal:
        MapChanges(**changes).change(given)
    assert sentence in str(refusal.value)
