"""Values, gradients and Gauss-Newton blocks of the Fourier-space distance, in double precision."""

import dataclasses
import math

import pytest
import torch
from blobs import Blobs, BlobTable

from torchsag.geometry import Poses, random_rotations
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.fourier_objective import FourierObjective
from torchsag.likelihood.observations import Observations
from torchsag.optim.objective import LeastSquaresObjective
from torchsag.spectra.fourier_band import FourierBand

BLOBS, BLOCKS = Blobs(16), 3
TERMS = torch.arange(BLOCKS)


def _model(band, poses):
    k = band.frequencies.double()
    angle = -2 * math.pi / band.box * poses.shifts @ k.T
    return BLOBS.transform(k @ poses.rotations)[0] * torch.polar(torch.ones_like(angle), angle)


def _problem(noise=30.0):
    """Two particles with one weight each, three candidates; amplitude 0.8."""
    generator = torch.Generator().manual_seed(0)
    band = FourierBand.of(16, 6, BLOCKS)
    truth = Poses(random_rotations(2, generator, torch.float64), torch.rand(2, 3, generator=generator).double())
    weight = torch.rand(2, len(band), generator=generator, dtype=torch.float64)
    weight[weight < 0.3] = 0
    seen = 0.8 * weight * _model(band, truth)
    seen = seen + noise * torch.randn(seen.shape, generator=generator, dtype=torch.complex128) * (weight > 0)
    power = torch.zeros(2, BLOCKS, dtype=torch.float64).index_add_(1, band.blocks, seen.abs().square())
    observed = Observations(weight * seen, weight.square(), torch.arange(2), power, (weight > 0).sum(1).double())
    particle = torch.tensor([0, 1, 0])
    amplitude = torch.full((3,), 0.8, dtype=torch.float64)
    objective = FourierObjective(BlobTable.of(BLOBS, 6), band, observed, truth[particle], particle, amplitude)
    return objective, seen, weight


def _moves(angle):
    """Three moves whose rotation vectors have this length."""
    generator = torch.Generator().manual_seed(4)
    turn = torch.nn.functional.normalize(torch.randn(3, 3, generator=generator, dtype=torch.float64), dim=-1)
    return torch.cat([angle * turn, torch.randn(3, 3, generator=generator, dtype=torch.float64)], -1)


def _differences(evaluate, move, h=1e-5):
    steps = h * torch.eye(6, dtype=torch.float64)
    return torch.stack([(evaluate(move + step) - evaluate(move - step)) / (2 * h) for step in steps], -1)


def test_is_a_least_squares_objective():
    objective, *_ = _problem()
    assert isinstance(objective, LeastSquaresObjective)
    assert objective.num_terms == BLOCKS


def test_mean_of_the_terms_is_half_the_squared_distance():
    objective, seen, weight = _problem()
    move = _moves(0.4)
    model = _model(objective.band, objective.at(move))
    p = objective.particle
    expected = 0.5 * (seen[p] - 0.8 * weight[p] * model).abs().square().sum(1)
    torch.testing.assert_close(objective.values(move, TERMS).mean(1), expected)


@pytest.mark.parametrize("angle", [0.0, 1e-3, 0.3, 1.5, 3.0])
def test_gradient_also_far_from_where_the_chart_is_centred(angle):
    objective, *_ = _problem()
    move = _moves(angle)
    values, gradients = objective.gradients(move, TERMS)
    torch.testing.assert_close(values, objective.values(move, TERMS))
    expected = _differences(lambda at: objective.values(at, TERMS), move)
    torch.testing.assert_close(gradients, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.5])
def test_block_is_the_derivative_of_the_gradient_where_nothing_is_left_over(angle):
    """At zero residual the Gauss-Newton block is the Hessian, wherever the chart is centred."""
    objective, *_ = _problem(noise=0.0)
    move = _moves(angle)
    truth = objective.poses
    moved = truth.retract(-move)  # a chart centred elsewhere ...
    shifted = dataclasses.replace(objective, poses=moved)
    home = moved.move_to(truth)  # ... in which this move leads to the truth
    torch.testing.assert_close(shifted.at(home).rotations, truth.rotations)
    _, gradient, blocks = shifted.curvature(home, TERMS)
    assert float(gradient.abs().max()) < 1e-6 * float(blocks.abs().max())
    expected = _differences(lambda at: shifted.gradients(at, TERMS)[1], home)
    torch.testing.assert_close(blocks, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


def test_curvature_agrees_with_gradients_and_is_positive():
    objective, *_ = _problem()
    move, some = _moves(0.5), torch.tensor([2, 0])
    values, gradients, blocks = objective.curvature(move, some)
    expected_values, expected_gradients = objective.gradients(move, some)
    torch.testing.assert_close(values, expected_values)
    torch.testing.assert_close(gradients, expected_gradients)
    eigenvalues = torch.linalg.eigvalsh(blocks)
    assert float(eigenvalues.min()) > -1e-9 * float(eigenvalues.max())


def test_sums_are_those_at_the_moved_poses():
    objective, *_ = _problem()
    move = _moves(0.2)
    direct = block_sums(
        objective.table, objective.band, objective.observed, objective.at(move), objective.particle, TERMS
    )
    torch.testing.assert_close(objective.sums(move, TERMS).cross, direct.cross)
