"""What lies in the corners of a box must not come back into the map when particles are turned."""

import torch
from tilt_projects import Project

from torchsag.averaging import MapSums
from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Poses, random_rotations
from torchsag.imaging.masks import centred_radius, spherical_mask
from torchsag.io import read_particles
from torchsag.particles import GriddedParticles, ParticleBatch

N = 24
BOX = (N, N, N)


def _map(volume, sphere):
    rotations = random_rotations(4, torch.Generator().manual_seed(3))
    weights = torch.ones(1, N, N, N // 2 + 1)
    index = torch.zeros(4, dtype=torch.long)
    batch = ParticleBatch(to_half_spectrum(volume.expand(4, *BOX)), weights, index, tuple("abcd"), 8.0, BOX)
    sums = MapSums.empty(BOX, 8.0)
    sums.add(GriddedParticles.of(batch, sphere), Poses(rotations, torch.zeros(4, 3)))
    return sums.finish()[0].density


def test_corners_fold_back_unless_the_sphere_is_kept():
    radius = centred_radius(BOX)
    noise = torch.randn(BOX, generator=torch.Generator().manual_seed(0)) * (radius > N / 2)
    inside = radius < N / 3
    assert _map(noise, sphere=False)[inside].std() > 0.05
    assert _map(noise, sphere=True)[inside].std() < 1e-5


def test_what_the_sphere_holds_stays():
    blob = torch.exp(-(centred_radius(BOX) / 3).square())
    for sphere in (False, True):
        torch.testing.assert_close(_map(blob, sphere), blob, atol=2e-3, rtol=0)


def test_tilt_stacks_are_gridded_within_it_and_volumes_are_not(tmp_path):
    centres = torch.tensor([[2.0, 1.0, 0.0], [-2.0, 0.0, 3.0]], dtype=torch.float64)
    project = Project(centres, torch.ones(2, dtype=torch.float64), n=N)
    stacks = read_particles(project.write_relion5(tmp_path))
    assert stacks.assembles
    batch, gridded = stacks.load([0, 1]), stacks.load_gridded([0, 1])
    torch.testing.assert_close(gridded.spectra, GriddedParticles.of(batch, sphere=True).spectra)
    assert not torch.allclose(gridded.spectra, GriddedParticles.of(batch).spectra, rtol=1e-2)
    assert spherical_mask(BOX).min() == 0
