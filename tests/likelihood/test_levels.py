"""One level: judged by the matched filter, refined to the optimum."""

import math

import torch
from blobs import Blobs, BlobTable
from fourier_problems import noisy, single

from torchsag.fourier import half_frequencies, phase_ramp
from torchsag.geometry import Poses, random_rotations, rotation_distance
from torchsag.likelihood.contenders import Contenders
from torchsag.likelihood.fisher import noise_variance, pose_covariance
from torchsag.likelihood.levels import Level
from torchsag.likelihood.observations import observe
from torchsag.optim import CurvatureSAG
from torchsag.particles import ParticleBatch
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

BLOBS = Blobs(16)


def _level(passes=3.0):
    optimizer = CurvatureSAG(batch_fraction=0.5, tolerance=1e-3)
    return Level(BlobTable.of(BLOBS, 6), FourierBand.of(16, 6, 4), optimizer, passes)


def _observed(band, amplitude=0.6):
    generator = torch.Generator().manual_seed(0)
    truth = Poses(random_rotations(2, generator, torch.float64), torch.rand(2, 3, generator=generator).double())
    k = half_frequencies((16, 16, 16), dtype=torch.float64)
    spectra = [BLOBS.transform(16 * k @ r)[0] * phase_ramp(k, t) for r, t in zip(*_pair(truth), strict=True)]
    weight = (k[..., 2].abs() <= 2 * k[..., 0].abs()).double()[None]
    spectra = amplitude * torch.stack(spectra) * weight
    batch = ParticleBatch(spectra, weight, torch.zeros(2, dtype=torch.long), ("a", "b"), 1.0, (16, 16, 16))
    return observe(batch, band), truth


def _pair(poses):
    return poses.rotations, poses.shifts


def _contenders(poses, particle):
    count = len(poses)
    return Contenders(
        poses, particle, torch.zeros(count).double(), torch.ones(count).double(), torch.zeros(count, dtype=torch.bool)
    )


def test_judges_by_matched_filter_and_fits_the_amplitude():
    level = _level()
    observed, truth = _observed(level.band)
    judged = level.judge(observed, _contenders(truth, torch.arange(2)))
    # At the truth of a noise-free particle the filter explains all power.
    torch.testing.assert_close(judged.score.square(), observed.power.sum(1))
    unit = (2 / 16**3) ** 0.5  # the observations' own unit
    torch.testing.assert_close(judged.amplitude, torch.full((2,), 0.6 * unit, dtype=torch.float64))
    off = truth.retract(torch.tensor([0.2, 0, 0, 0, 0.5, 0], dtype=torch.float64).expand(2, 6))
    assert bool((level.judge(observed, _contenders(off, torch.arange(2))).score < judged.score).all())


def test_refines_to_the_optimum():
    level = _level(passes=10.0)
    observed, truth = _observed(level.band)
    particle = torch.tensor([0, 1, 1])
    move = torch.tensor([[0.1, -0.1, 0.05, 0.3, 0, -0.2], [0, 0.15, 0, 0, 0.4, 0], [0, 0, 0, 0.3, 0, 0]]).double()
    start = level.judge(observed, _contenders(truth[particle].retract(move), particle))
    # Once more with the amplitude found: a wrong one moves the optimum.
    found = level.refine(observed, level.judge(observed, level.refine(observed, start)))
    assert bool(found.converged.all())
    assert math.degrees(float(rotation_distance(found.poses.rotations, truth[particle].rotations).max())) < 0.05
    torch.testing.assert_close(found.poses.shifts, truth[particle].shifts, atol=1e-3, rtol=0)


def test_half_a_pass_is_too_short_to_converge():
    level = _level(passes=0.5)
    observed, truth = _observed(level.band)
    start = level.judge(observed, _contenders(truth, torch.arange(2)))
    assert not bool(level.refine(observed, start).converged.any())


def test_single_precision_finds_the_same_optimum():
    """The compiled single-precision path against double precision, in units of the Cramer-Rao bound."""
    band = FourierBand.of(16, 6, 4)
    blobs = Blobs(16)
    optimizer = CurvatureSAG(batch_fraction=1.0, tolerance=1e-6)
    observed, truth = noisy(blobs, 6, band, num_weights=2, noise=0.1)
    particle, found = torch.arange(6), {}
    for dtype, data in ((torch.float64, observed), (torch.float32, single(observed))):
        level = Level(FourierTable.from_density(blobs.density(), 6).rounded.to(dtype), band, optimizer, 30.0)
        known = torch.ones(6, dtype=dtype)
        start = Contenders(truth.to(dtype), particle, known, known, torch.zeros(6, dtype=torch.bool))
        for _ in range(2):
            start = level.refine(data, level.judge(data, start))
        found[dtype] = level, level.judge(data, start)
    level, exact = found[torch.float64]
    variance = noise_variance(observed, exact.score)
    bound = pose_covariance(level.sums(observed, exact.poses, particle), exact.amplitude, variance)
    miss = exact.poses.move_to(found[torch.float32][1].poses.to(torch.float64))
    assert bool((miss.abs() < 0.01 * bound.diagonal(dim1=1, dim2=2).sqrt()).all())
