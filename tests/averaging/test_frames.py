import math

import pytest
import torch

from torchsag.averaging.frames import as_particle, bring_back, onto_axes
from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations, rotvec_to_matrix
from torchsag.particles import DensityMap


def _pose(rotvec, shift=(0.0, 0.0, 0.0)):
    return Poses(rotvec_to_matrix(torch.tensor([rotvec], dtype=torch.float64)), torch.tensor([shift]).double())


def test_bring_back_undoes_a_placement(blobs):
    n = 32
    pose = Poses(random_rotations(1, torch.Generator().manual_seed(0)), torch.tensor([[1.0, -0.5, 0.7]]))
    placed = DensityMap(blobs(6.0).volumes(pose, n)[0], 6.0)
    back, still = bring_back(placed, pose).density, blobs(6.0).map(n)
    assert (fourier_shell_correlation(to_half_spectrum(back), to_half_spectrum(still), (n, n, n))[:11] > 0.999).all()


def test_a_map_as_a_particle_is_fully_measured(blobs):
    particle = as_particle(DensityMap(blobs(4.0).map(16), 6.0))
    assert len(particle) == 1
    assert bool((particle.weights == 1).all())
    assert particle.voxel_size == 6.0


def test_without_symmetry_any_placement_stands():
    pose = _pose((0.3, 0.2, 0.1), (1.0, 2.0, 3.0))
    assert onto_axes(pose, Symmetry("C1")) is pose


@pytest.mark.parametrize("name", ["C2", "C7", "D2", "D3", "D7", "T", "O", "I"])
def test_what_is_left_keeps_the_axes(name):
    symmetry = Symmetry(name)
    for seed in range(5):
        turned = onto_axes(
            Poses(random_rotations(1, torch.Generator().manual_seed(seed), torch.float64), torch.ones(1, 3).double()),
            symmetry,
        )
        rotation = turned.rotations[0]
        mates = rotation @ symmetry.rotations @ rotation.mT
        distance = torch.cdist(mates.reshape(-1, 9), symmetry.rotations.reshape(-1, 9)).min(1).values
        assert float(distance.max()) < 1e-6
        assert turned.shifts[0, :2].tolist() == [0, 0]
        assert float(turned.shifts[0, 2]) == (1.0 if name.startswith("C") else 0.0)


@pytest.mark.parametrize(
    ("name", "rotvec", "expected"),
    [
        ("C3", (0.02, -0.01, 0.8), (0.0, 0.0, 0.8)),
        ("D7", (0.0, 0.03, math.pi / 7 + 0.05), (0.0, 0.0, math.pi / 7)),
        ("D7", (math.pi - 0.04, 0.0, 0.0), (math.pi, 0.0, 0.0)),
        ("I", (0.02, 0.03, 0.0), (0.0, 0.0, 0.0)),
    ],
)
def test_the_nearest_such_placement_is_taken(name, rotvec, expected):
    nearest = onto_axes(_pose(rotvec), Symmetry(name)).rotations[0]
    difference = nearest @ _pose(expected).rotations[0].mT
    angle = torch.arccos(((difference.diagonal().sum() - 1) / 2).clamp(-1, 1))
    assert float(angle) < 0.05
