"""Views at rotations that share their work are those of all rotations, each looked at by itself."""

import pytest
import torch

from torchsag.classification.frame import CommonFrame
from torchsag.classification.shared_turns import SharedTurns, grid_turns, is_group, turned_places
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.masks import spherical_mask
from torchsag.particles import DensityMap
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import CappedPhantom, GroelPhantom
from torchsag.spectra.fourier_band import FourierBand

N, VOXEL, SHELL = 24, 14.0, 6
IDENTITY = torch.eye(3, dtype=torch.long)[None]


@pytest.fixture(scope="module")
def average():
    return GroelPhantom().density(N, VOXEL)


def cubic(density):
    """A map of octahedral symmetry."""
    turns = grid_turns(Symmetry("O"))
    axis = torch.arange(N) - N // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    total = torch.zeros_like(density.density)
    for turn in turns:
        a, b, c = ((torch.stack([x, y, z], -1) @ turn.T) + N // 2).remainder(N).unbind(-1)
        total += density.density[c, b, a]
    return DensityMap(total / len(turns), VOXEL)


@pytest.mark.parametrize(
    ("classes", "common", "rotations"), [("C7", "D7", 7), ("D7", "D7", 7), ("C1", "C2", 1), ("C4", "O", 1)]
)
@pytest.mark.parametrize("masked", [True, False])
def test_views_are_those_of_all_rotations(average, classes, common, rotations, masked):
    average = cubic(average) if common in ("O", "C2") else average
    mask = spherical_mask(average.box, 9.0) if masked else None
    particles, poses = simulate_particles(CappedPhantom().density(N, VOXEL), 3, 0.3, max_shift=1.0)
    poses = Poses(poses.rotations[:, None], poses.shifts[:, None])
    shared, plain = (CommonFrame(average, Symmetry(classes), Symmetry(common), SHELL, mask) for _ in range(2))
    plain.__dict__["_turns"] = SharedTurns.of(plain.symmetry, plain.mates, plain.band, IDENTITY)
    assert len(shared._turns.rotations) == rotations
    assert len(plain._turns.rotations) == Symmetry(common).order
    ours, theirs = shared.views(particles, poses), plain.views(particles, poses)
    for name in ("data", "weights", "power", "common"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert float((one - other).abs().max() / other.abs().max()) < 1e-5, name


def test_a_mask_or_average_that_a_turn_changes_shares_nothing(average):
    """A mask of half a ring, and an average with a cap on one end."""
    half = spherical_mask(average.box, 9.0).clone()  # the library keeps its own
    half[: N // 2] = 0
    for density, mask in ((average, half), (CappedPhantom().density(N, VOXEL), None)):
        frame = CommonFrame(density, Symmetry("C7"), Symmetry("D7"), SHELL, mask)
        assert len(frame._turns.rotations) == 14


@pytest.mark.parametrize("name", ["D7", "O", "I", "C6"])
def test_turned_places_are_where_turned_frequencies_are(name):
    band = FourierBand.by_shell(N, SHELL)
    for turn in grid_turns(Symmetry(name)):
        places, mirrored = turned_places(turn, band)
        sign = torch.where(mirrored, -1, 1)[:, None]
        assert torch.equal(band.frequencies @ turn.T, band.frequencies[places] * sign)


def test_turns_of_the_grid():
    counts = {"C1": 1, "C3": 1, "C6": 2, "C7": 1, "D7": 2, "D2": 4, "O": 24, "I": 12}
    assert {name: len(grid_turns(Symmetry(name))) for name in counts} == counts
    cube = grid_turns(Symmetry("O"))
    quarter = next(turn for turn in cube if int(turn.trace()) == 1)
    assert is_group(cube)
    assert not is_group(torch.stack([IDENTITY[0], quarter]))
