"""Particles of several boxes and voxel sizes in one set."""

from dataclasses import replace

import pytest
import torch

from torchsag.fourier import half_frequencies, to_half_spectrum
from torchsag.geometry import Poses
from torchsag.particles import ParticleBatch, Sampling, usual_sampling
from torchsag.particles.sampling import resampled

FINE, COARSE = Sampling((32, 32, 32), 4.0), Sampling((24, 24, 24), 7.0)


def _batch(volume, sampling, weight=None):
    n = sampling.box[0]
    weights = torch.ones(1, n, n, n // 2 + 1) if weight is None else weight[None]
    poses = Poses.identity(1)
    return ParticleBatch.from_volumes(
        volume[None], weights, torch.zeros(1, dtype=torch.long), ("p",), sampling.voxel_size, poses
    )


def _blob(sampling, centre_angstrom, sigma_angstrom=14.0):
    n = sampling.box[0]
    axis = (torch.arange(n, dtype=torch.float64) - n // 2) * sampling.voxel_size
    z, y, x = (torch.exp(-((axis - c) ** 2) / (2 * sigma_angstrom**2)) for c in reversed(centre_angstrom))
    return torch.einsum("z,y,x->zyx", z, y, x).float()


def test_the_usual_sampling_is_that_of_most():
    assert usual_sampling([FINE, COARSE, COARSE]) == COARSE
    assert usual_sampling([COARSE, FINE]) == FINE


@pytest.mark.parametrize(("there", "here"), [(FINE, COARSE), (COARSE, FINE), (FINE, Sampling((21, 21, 21), 5.3))])
def test_a_density_keeps_its_place_and_its_value(there, here):
    centre = (9.0, -5.0, 3.0)
    made = resampled(_batch(_blob(there, centre), there), here)
    assert made.box == here.box
    density = made.spectra[0] / made.weights[0].clamp_min(1e-6) * (made.weights[0] > 0)
    truth = to_half_spectrum(_blob(here, centre))
    seen = half_frequencies(here.box).norm(dim=-1) < 0.4 * min(1.0, here.voxel_size / there.voxel_size)
    assert float((density - truth)[seen].norm() / truth[seen].norm()) < 0.02


def test_noise_keeps_its_deviation_and_unmeasured_frequencies_stay_unmeasured():
    noise = torch.randn(32, 32, 32, generator=torch.Generator().manual_seed(1))
    coarse = resampled(_batch(noise, FINE), COARSE)
    assert float(coarse.spectra.abs().square().mean()) == pytest.approx(24**3, rel=0.06)
    fine = resampled(_batch(noise[4:28, 4:28, 4:28].contiguous(), COARSE), FINE)
    beyond = half_frequencies(FINE.box).abs().amax(-1) * 7.0 / 4.0 > 0.5
    assert (fine.weights[0][beyond] == 0).all()
    assert (fine.spectra[0][beyond] == 0).all()


def test_shifts_are_counted_in_the_new_voxels():
    poses, batch = Poses.identity(1), _batch(_blob(FINE, (0.0, 0.0, 0.0)), FINE)
    moved = replace(batch, poses=Poses(poses.rotations, poses.shifts + 3.5))
    torch.testing.assert_close(resampled(moved, COARSE).poses.shifts, torch.full((1, 3), 2.0))
