"""Noise level and covariance against the Jacobian of the whole model, and against the scatter of estimates."""

import dataclasses
import math

import pytest
import torch
from blobs import Blobs, BlobTable
from fourier_problems import noisy, some_poses

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Symmetry
from torchsag.likelihood.fisher import fisher_information, log_likelihood_gradient, noise_variance, pose_covariance
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.search.local_grid import LocalGrid
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.spectra.fourier_band import FourierBand

BLOBS = Blobs(16)


def _sums(blocks=3):
    band = FourierBand.of(16, 6, blocks)
    observed, poses = noisy(BLOBS, 3, band, num_weights=3)
    table = BlobTable.of(BLOBS, 6)
    return band, observed, poses, block_sums(table, band, observed, poses, torch.arange(3), torch.arange(blocks))


def test_covariance_is_that_of_least_squares_with_a_free_amplitude():
    band, observed, poses, sums = _sums()
    amplitude = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    variance = torch.tensor([1.0, 3.0, 0.2], dtype=torch.float64)
    k, weight = band.frequencies.double(), observed.weights.sqrt()

    def model(move, scale):
        at = poses.retract(move)
        angle = -2 * math.pi / 16 * at.shifts @ k.T
        values = BLOBS.transform(k @ at.rotations)[0] * torch.polar(torch.ones_like(angle), angle)
        return torch.view_as_real(scale[:, None] * weight * values).flatten(1)

    h, columns = 1e-5, []
    for step in h * torch.eye(6, dtype=torch.float64):
        ahead, behind = model(step.expand(3, 6), amplitude), model(-step.expand(3, 6), amplitude)
        columns.append((ahead - behind) / (2 * h))
    columns.append(model(torch.zeros(3, 6, dtype=torch.float64), torch.ones(3, dtype=torch.float64)))
    jacobian = torch.stack(columns, -1)
    expected = torch.linalg.inv(jacobian.mT @ jacobian / variance[:, None, None])[:, :6, :6]
    found = pose_covariance(sums, amplitude, variance)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))
    information = fisher_information(sums, amplitude, variance)
    torch.testing.assert_close(information @ found, torch.eye(6, dtype=torch.float64).expand(3, 6, 6))


def test_gradient_is_that_of_the_matched_filter():
    band, observed, poses, sums = _sums()
    variance = torch.tensor([1.0, 3.0, 0.2], dtype=torch.float64)

    def log_likelihood(move):
        table, at = BlobTable.of(BLOBS, 6), poses.retract(move)
        total = block_sums(table, band, observed, at, torch.arange(3), torch.arange(band.num_blocks)).total()
        return total.cross[:, 0].square() / total.energy[:, 0] / (2 * variance)

    h = 1e-5
    steps = [h * step.expand(3, 6) for step in torch.eye(6, dtype=torch.float64)]
    expected = torch.stack([(log_likelihood(step) - log_likelihood(-step)) / (2 * h) for step in steps], 1)
    torch.testing.assert_close(log_likelihood_gradient(sums, variance), expected, rtol=1e-6, atol=1e-6)


def test_covariance_is_undetermined_where_nothing_was_measured():
    *_, sums = _sums(blocks=1)
    blind = dataclasses.replace(sums, gram=torch.zeros_like(sums.gram), energy_gradient=0 * sums.energy_gradient)
    one = torch.ones(3, dtype=torch.float64)
    assert bool(pose_covariance(blind, one, one).isnan().all())
    assert bool(pose_covariance(sums, one, one).isfinite().all())


def test_noise_variance_is_what_the_model_leaves_over():
    band = FourierBand.of(16, 7, 2)
    observed, poses = noisy(BLOBS, 40, band, num_weights=2, noise=1.7)
    sums = block_sums(BlobTable.of(BLOBS, 7), band, observed, poses, torch.arange(40), torch.arange(2)).total()
    score = sums.cross[:, 0] / sums.energy[:, 0].sqrt()
    assert float(noise_variance(observed, score).mean()) == pytest.approx(1.7**2, rel=0.02)
    away = block_sums(
        BlobTable.of(BLOBS, 7), band, observed, some_poses(40, seed=77), torch.arange(40), torch.arange(2)
    ).total()
    worse = noise_variance(observed, away.cross[:, 0] / away.energy[:, 0].sqrt())
    assert float(worse.mean()) > 1.7**2 * 1.05


@pytest.mark.slow
def test_covariance_is_the_scatter_of_estimates():
    """Mean squared error in units of the reported covariance is the number of unknowns, six."""
    reference = density_of(ribosome_phantom(), 32, 12.0, 20.0)
    particles, truth = simulate_particles(reference, 120, 0.05)
    start = dataclasses.replace(particles, poses=truth)
    result = CurvatureSAGAligner(search=LocalGrid()).prepare(reference, Symmetry("C1"))(start)
    miss = truth.move_to(result.poses).double()
    squared = torch.einsum("pi,pij,pj->p", miss, torch.linalg.inv(result.covariances.double()), miss)
    assert 4.8 < float(squared.mean()) < 7.5
    assert float(squared.median()) == pytest.approx(5.35, abs=1.0)  # of a chi square with six degrees of freedom
