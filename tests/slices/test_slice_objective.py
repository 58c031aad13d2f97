"""Truth: analytic derivatives against autograd and differences; the sum against the whole; recovery of known poses."""

import math
from dataclasses import replace

import pytest
import torch
from slice_problems import blobs, particles, transfer, true_poses, wedges

from torchsag.errors import InputError
from torchsag.geometry import rotation_distance
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.trilinear import Trilinear
from torchsag.losses.constrained_distance import ConstrainedDistance
from torchsag.losses.cross_correlation import CrossCorrelation
from torchsag.losses.robust_distance import RobustDistance
from torchsag.optim import LeastSquaresObjective, LevenbergMarquardt, Objective, minimize
from torchsag.slices import slice_objective
from torchsag.slices.around import objective_around
from torchsag.slices.autograd_objective import AutogradObjective
from torchsag.slices.matching import match_parts
from torchsag.slices.planes import TiltAxisSlices, XSlices
from torchsag.slices.whole_volume import WholeVolume

BOX = (20, 20, 20)
F64 = torch.float64
DISTANCE, SLICES = ConstrainedDistance(), TiltAxisSlices()


def problem(loss=DISTANCE, partition=SLICES, box=BOX, weights=wedges, sigma=0.5, count=3, **more):
    reference, poses = blobs(box), true_poses(count)
    batch = particles(reference, poses, weights(box), sigma)
    comparison = match_parts(batch, reference, loss, partition, more.pop("interpolation", CubicSpline(2)), 28.0, **more)
    return comparison, poses


def around(comparison, poses, turn=0.0):
    generator = torch.Generator().manual_seed(6)
    step = torch.randn(len(poses), 6, generator=generator, dtype=F64) * torch.tensor([0.05] * 3 + [0.4] * 3)
    objective = objective_around(comparison, poses.retract(step.to(F64)), torch.arange(len(poses)))
    move = 0.1 * torch.randn(len(poses), 8, generator=generator, dtype=F64)
    move[:, 2] += turn
    return objective, move


@pytest.mark.parametrize(
    ("loss", "partition", "weights"),
    [
        (ConstrainedDistance(), TiltAxisSlices(), wedges),
        (RobustDistance(1.0), TiltAxisSlices(), transfer),
        (ConstrainedDistance(), XSlices(), transfer),
        (ConstrainedDistance(), WholeVolume(), transfer),
    ],
)
def test_analytic_gradients_are_autograds(loss, partition, weights):
    comparison, poses = problem(loss, partition, weights=weights)
    objective, move = around(comparison, poses)
    assert isinstance(objective, LeastSquaresObjective)
    twin = AutogradObjective(comparison, objective.poses, objective.particle, objective.calibration)
    assert isinstance(twin, Objective)
    assert not isinstance(twin, LeastSquaresObjective)
    terms = torch.arange(objective.num_terms).flip(0)[:5]
    values, gradients = twin.gradients(move, terms)
    torch.testing.assert_close(twin.values(move, terms), values)
    torch.testing.assert_close(objective.values(move, terms), values)
    for found in (objective.gradients(move, terms), objective.curvature(move, terms)[:2]):
        torch.testing.assert_close(found[0], values)
        torch.testing.assert_close(found[1], gradients)


@pytest.mark.parametrize("turn", [0.0, 1.0, math.pi])
def test_gradients_far_from_the_start_are_differences(turn):
    """The chain rule through the retraction, up to half a turn away."""
    comparison, poses = problem()
    objective, move = around(comparison, poses, turn)
    terms = torch.tensor([7, 3])
    _, gradients = objective.gradients(move, terms)
    for unknown in range(8):
        step = torch.zeros(8, dtype=F64)
        step[unknown] = 1e-5
        central = (objective.values(move + step, terms) - objective.values(move - step, terms)) / 2e-5
        torch.testing.assert_close(gradients[..., unknown], central, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", [ConstrainedDistance(), RobustDistance(1.0)])
def test_blocks_are_those_of_the_residuals_jacobian(loss):
    comparison, poses = problem(loss, count=1, weights=transfer)
    objective, move = around(comparison, poses)
    terms = torch.tensor([5, 8])

    def residual(unknowns):
        here = objective.poses.retract(unknowns[None, :6])
        sources = comparison.sources(here.rotations[:, None], here.shifts[:, None], terms)
        model = comparison.filter(comparison.sample(sources, objective.particle), objective.particle)[0]
        amplitude, offset = objective.calibration.amplitude * unknowns[6].exp(), objective.calibration.offset
        return comparison.mask[terms] * (comparison.observed[0, terms] - amplitude * model - offset - unknowns[7])

    rows = torch.autograd.functional.jacobian(residual, move[0])
    assert isinstance(rows, torch.Tensor)
    weight = loss.penalty(residual(move[0]))[2]
    expected = comparison.independent[0] / 2 * torch.einsum("bvi,bv,bvj->bij", rows, weight, rows)
    torch.testing.assert_close(objective.curvature(move, terms)[2][0], expected)


def test_chunks_change_nothing(monkeypatch):
    comparison, poses = problem(weights=transfer)
    objective, move = around(comparison, poses)
    terms = torch.arange(4)
    whole = (objective.values(move, terms), *objective.curvature(move, terms), *objective.gradients(move, terms))
    monkeypatch.setattr(slice_objective, "_CHUNK", 1)
    parts = (objective.values(move, terms), *objective.curvature(move, terms), *objective.gradients(move, terms))
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("box", [(20, 20, 20), (21, 21, 21), (16, 24, 20)])
def test_tilt_axis_slices_add_up_to_the_whole_volumes_loss(box):
    """The exact finite sum: filtered slice by slice or as a whole, the loss is the same at every pose."""
    sums = []
    for partition in (TiltAxisSlices(), WholeVolume()):
        comparison, poses = problem(partition=partition, box=box)
        objective, move = around(comparison, poses)
        sums.append(objective.values(move, torch.arange(objective.num_terms)).sum(1))
    # Only the whole filter also removes what the box's faces cut off the placed reference: hence the tolerance.
    torch.testing.assert_close(sums[0], sums[1], rtol=3e-3, atol=0)


def test_calibration_is_the_best_amplitude_and_offset():
    comparison, poses = problem()
    objective = objective_around(comparison, poses, torch.arange(len(poses)))
    _, gradients = objective.gradients(torch.zeros(3, 8, dtype=F64), torch.arange(objective.num_terms))
    torch.testing.assert_close(gradients.sum(1)[:, 6:], torch.zeros(3, 2, dtype=F64), atol=1e-6, rtol=0)
    assert (objective.calibration.amplitude > 0).all()


def test_amplitude_stays_positive_where_particle_and_reference_oppose():
    reference, poses = blobs(BOX), true_poses(2)
    batch = particles(reference, poses, wedges(BOX))
    inverted = replace(batch, spectra=-batch.spectra)
    comparison = match_parts(inverted, reference, ConstrainedDistance(), TiltAxisSlices(), CubicSpline(2), 28.0)
    assert (objective_around(comparison, poses, torch.arange(2)).calibration.amplitude > 0).all()


@pytest.mark.parametrize(
    ("box", "weights", "interpolation"),
    [
        ((24, 24, 24), wedges, CubicSpline(2)),
        ((25, 25, 25), transfer, CubicSpline(2)),
        ((20, 24, 28), wedges, CubicSpline(1)),
        ((24, 24, 24), transfer, Trilinear(2)),
    ],
)
def test_recovers_known_poses_without_noise(box, weights, interpolation):
    comparison, poses = problem(box=box, weights=weights, sigma=0.0, interpolation=interpolation)
    objective, _ = around(comparison, poses)
    found = minimize(LevenbergMarquardt(), objective, torch.zeros(3, 8, dtype=F64), 40).move[:, :6]
    ended = objective.poses.retract(found)
    assert float(rotation_distance(ended.rotations, poses.rotations).rad2deg().max()) < 0.5
    assert float((ended.shifts - poses.shifts).norm(dim=-1).max()) < 0.05
    assert float(rotation_distance(objective.poses.rotations, poses.rotations).rad2deg().min()) > 1.5


def test_one_particle_in_two_problems_and_any_order():
    comparison, poses = problem(weights=transfer)
    order = torch.tensor([2, 0, 2, 1])
    objective = objective_around(comparison, poses[order], order)
    plain = objective_around(comparison, poses, torch.arange(3))
    terms, move = torch.arange(3), torch.zeros(4, 8, dtype=F64)
    torch.testing.assert_close(objective.gradients(move, terms)[1], plain.gradients(move[:3], terms)[1][order])


def test_loss_of_whole_volumes_needs_one_term():
    with pytest.raises(InputError, match="CrossCorrelation is not"):
        problem(CrossCorrelation())
    comparison, poses = problem(CrossCorrelation(), WholeVolume())
    objective, move = around(comparison, poses)
    values, gradients = objective.gradients(move, torch.tensor([0]))
    assert values.shape == (3, 1)
    torch.testing.assert_close(gradients[..., 6:], torch.zeros(3, 1, 2, dtype=F64), atol=1e-9, rtol=0)


def test_another_box_is_refused():
    batch = particles(blobs(BOX), true_poses(1), wedges(BOX))
    with pytest.raises(InputError, match="crop or pad the reference"):
        match_parts(batch, blobs((22, 22, 22)), ConstrainedDistance(), TiltAxisSlices(), CubicSpline(2))


def test_mask_leaves_out_slices_it_does_not_reach():
    wide, _ = problem()
    narrow, _ = problem(mask_diameter_angstrom=60.0)
    assert narrow.num_terms < wide.num_terms
    assert (narrow.mask.amax(1) > 0).all()
