"""The Gaussian nearest to a posterior: the Fisher matrix where the likelihood is Gaussian, better elsewhere."""

import dataclasses

import pytest
import torch
from blobs import Blobs, BlobTable
from fourier_problems import noisy

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Symmetry
from torchsag.likelihood import posterior
from torchsag.likelihood.contenders import Contenders
from torchsag.likelihood.fisher import noise_variance, pose_covariance, remaining_step
from torchsag.likelihood.levels import Level
from torchsag.likelihood.posterior import posterior_covariance
from torchsag.optim import CurvatureSAG
from torchsag.search.local_grid import LocalGrid
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.spectra.fourier_band import FourierBand

BLOBS = Blobs(16)


def _at_optimum(noise):
    band = FourierBand.of(16, 6, 4)
    level = Level(BlobTable.of(BLOBS, 6), band, CurvatureSAG(batch_fraction=0.5, tolerance=1e-6), 40.0)
    observed, truth = noisy(BLOBS, 5, band, num_weights=2, noise=noise)
    unknown = torch.ones(5, dtype=torch.float64)
    start = Contenders(truth, torch.arange(5), unknown, unknown, unknown.bool())
    found = level.judge(observed, level.refine(observed, level.judge(observed, start)))
    found = level.judge(observed, level.refine(observed, found))
    variance = noise_variance(observed, found.score)
    fisher = pose_covariance(level.sums(observed, found.poses, found.particle), found.amplitude, variance)
    return level, observed, found, variance, fisher


def test_with_little_noise_it_is_the_fisher_matrix_at_the_optimum():
    level, observed, found, variance, fisher = _at_optimum(noise=0.002)
    covariance = posterior_covariance(level, observed, found.poses, found.particle, variance, fisher)
    torch.testing.assert_close(covariance, fisher, rtol=0.02, atol=0.02 * float(fisher.abs().max()))


@pytest.mark.parametrize("enough", [150, 300])
def test_some_blocks_of_a_wide_band_tell_how_it_bends(enough, monkeypatch):
    """In units of their own Fisher matrix, which is not quite their share of the whole band's."""
    monkeypatch.setattr(posterior, "_ENOUGH", enough)
    test_with_little_noise_it_is_the_fisher_matrix_at_the_optimum()
    level, observed, found, variance, fisher = _at_optimum(noise=0.3)
    some = posterior_covariance(level, observed, found.poses, found.particle, variance, fisher)
    monkeypatch.setattr(posterior, "_ENOUGH", 10**9)
    every = posterior_covariance(level, observed, found.poses, found.particle, variance, fisher)
    assert not torch.equal(some, every)
    assert float((torch.linalg.slogdet(some)[1] - torch.linalg.slogdet(every)[1]).abs().max() / 12) < 0.15


def test_the_step_left_is_how_far_the_pose_is_from_its_optimum_in_standard_errors():
    level, observed, found, variance, fisher = _at_optimum(noise=0.002)
    for errors in (0.0, 0.3, 2.0):
        away = errors * torch.linalg.cholesky(fisher)[:, :, 3]  # along one column of a square root: that many errors
        poses = found.poses.retract(away)
        step, left = remaining_step(level.sums(observed, poses, found.particle), variance, fisher)
        torch.testing.assert_close(left, torch.full_like(left, errors), atol=0.02, rtol=0.05)
        torch.testing.assert_close(poses.retract(step).shifts, found.poses.shifts, atol=1e-3, rtol=0)


def test_it_solves_its_own_equation():
    """The mean curvature over the Gaussian found is the inverse of its covariance, by many random points."""
    level, observed, found, variance, fisher = _at_optimum(noise=0.8)
    covariance = posterior_covariance(level, observed, found.poses, found.particle, variance, fisher)
    half = torch.randn(150, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points = torch.cat([half, -half])

    def excess(one, covariance):
        """What should be zero: E[hessian] + 1 in the Gaussian's own units, by Stein's lemma."""
        at = found.poses[torch.tensor([one])].retract(points @ torch.linalg.cholesky(covariance[one]).T)
        sums = level.sums(observed, at, torch.full((len(points),), one))
        rest = sums.cross[:, 0].square() / sums.energy[:, 0] / (2 * variance[one]) + points.square().sum(1) / 2
        return float(((points * (rest - rest.mean())[:, None]).T @ points / len(points)).norm())

    assert sum(excess(one, covariance) for one in range(5)) < 0.6 * sum(excess(one, fisher) for one in range(5))


def test_a_pose_without_information_is_left_alone():
    level, observed, found, variance, fisher = _at_optimum(noise=0.05)
    blind = fisher.clone()
    blind[1] = torch.nan
    covariance = posterior_covariance(level, observed, found.poses, found.particle, variance, blind)
    assert bool(covariance[1].isnan().all())
    assert bool(covariance[[0, 2, 3, 4]].isfinite().all())
    nothing = torch.full_like(fisher, torch.nan)
    assert posterior_covariance(level, observed, found.poses, found.particle, variance, nothing) is nothing


@pytest.mark.slow
def test_ellipsoids_hold_the_truth_where_the_likelihood_bends():
    reference = density_of(ribosome_phantom(), 32, 12.0, 20.0)
    particles, truth = simulate_particles(reference, 300, 0.02, seed=3)
    start = dataclasses.replace(particles, poses=truth)
    result = CurvatureSAGAligner(search=LocalGrid(cone_deg=30.0)).prepare(reference, Symmetry("C1"))(start)
    miss = result.poses.move_to(truth).double()
    squared = torch.einsum("pi,pij,pj->p", miss, torch.linalg.inv(result.covariances.double()), miss)
    assert float(squared.median()) == pytest.approx(5.35, abs=0.6)
    assert float((squared < 12.592).double().mean()) == pytest.approx(0.95, abs=0.03)
