"""Score an entry: what it got right, how accurate it is, and how that compares with the least possible error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch import Tensor

from torchsag.averaging import MapSums
from torchsag.bench import measure
from torchsag.bench.entry import Entry
from torchsag.bench.making import Problem
from torchsag.bench.measure import UNKNOWN, Measure
from torchsag.evaluation import PoseErrors, RemoveCommonTransform, SameFrame, compare_half_maps, compare_poses
from torchsag.evaluation.class_agreement import adjusted_rand_index, matched
from torchsag.geometry import Poses, Symmetry
from torchsag.geometry.rotations import matrix_to_rotvec
from torchsag.likelihood.fisher import cramer_rao_bound
from torchsag.particles import DensityMap

FOUND_DEG = 10.0
"""A particle within this of its true orientation is found."""


@dataclass(frozen=True)
class Score:
    """What a sheet says of one task.

    Attributes
    ----------
    measures
        By name, the unit at its end.
    particles
        Columns, one value for each particle, None where there is none: paired comparisons are made of these.
    """

    measures: dict[str, Measure]
    particles: dict[str, list[Any]]


def score(problem: Problem, entry: Entry) -> Score:
    """Judge an entry by its task's kind."""
    if problem.task.kind == "classify":
        return _score_classes(problem, entry)
    symmetry, truth = Symmetry(problem.task.symmetry), problem.truth.poses
    frame = RemoveCommonTransform() if problem.task.kind == "average" else SameFrame()
    listed = entry.listed
    judged = frame(entry.poses[listed], truth[listed], symmetry)
    errors = compare_poses(judged, truth[listed], symmetry)
    everyone = PoseErrors(_spread(errors.rotation_deg, listed), _spread(errors.shift_voxels, listed))
    measures = {"listed": measure.share(int(listed.sum()), len(listed)), **_pose_measures(problem, everyone)}
    if problem.task.kind == "average":
        measures |= _map_measures(problem, entry, judged.to(torch.float32))
    columns = {"rotation_error_deg": everyone.rotation_deg, "shift_error_voxels": everyone.shift_voxels}
    if problem.task.kind == "calibrate":
        found = _uncertainty(problem, entry, everyone)
        measures |= found.measures
        columns |= {"squared_error_by_covariance": found.squared}
    return Score(measures, {name: _plain(values) for name, values in columns.items()})


def _spread(values: Tensor, listed: Bool[Tensor, " particles"]) -> Float[Tensor, " particles"]:
    """One value for each particle, NaN where it is not listed."""
    everyone = torch.full(listed.shape, math.nan, dtype=torch.float64)
    everyone[listed] = values.double()
    return everyone


def _plain(values: Tensor) -> list[Any]:
    return [None if isinstance(one, float) and math.isnan(one) else one for one in values.tolist()]


def _pose_measures(problem: Problem, errors: PoseErrors) -> dict[str, Measure]:
    """Errors of all particles in the median, of those that were found in the root mean square."""
    turned, moved = errors.rotation_deg.numpy(), errors.shift_voxels.numpy() * problem.task.voxel_size_angstrom
    found = turned < FOUND_DEG
    listed = np.isfinite(turned)
    bound_deg, bound_angstrom = (limit[torch.from_numpy(found)].numpy() for limit in _bounds(problem))
    return {
        "within_10_deg": measure.share(int(found.sum()), len(found)),
        "median_rotation_error_deg": measure.median(turned[listed]),
        "median_shift_error_angstrom": measure.median(moved[listed]),
        "rms_rotation_error_deg": measure.root_mean_square(turned[found]),
        "rms_shift_error_angstrom": measure.root_mean_square(moved[found]),
        "rotation_error_by_bound": measure.root_mean_square(turned[found], _root(bound_deg)),
        "shift_error_by_bound": measure.root_mean_square(moved[found], _root(bound_angstrom)),
    }


def _root(values: np.ndarray) -> float:
    return math.sqrt(float(np.square(values).mean())) if len(values) else math.nan


def _bounds(problem: Problem) -> tuple[Float[Tensor, " particles"], Float[Tensor, " particles"]]:
    """The least rotation (degrees) and shift error (angstrom) of an unbiased method that knows structure and noise."""
    truth = problem.truth.poses.to(torch.float32)
    covariances = cramer_rao_bound(problem.particles, problem.structures[0], truth, problem.noise_variance)
    variances = covariances.double().diagonal(dim1=1, dim2=2)
    turned, moved = variances[:, :3].sum(1).sqrt(), variances[:, 3:].sum(1).sqrt()
    return torch.rad2deg(turned), moved * problem.task.voxel_size_angstrom


def _map_measures(problem: Problem, entry: Entry, poses: Poses) -> dict[str, Measure]:
    """Of the average that the judge makes at the entrant's poses and halves, in the frame of the truth; no mask."""
    rows = torch.nonzero(entry.listed)[:, 0]
    halves = torch.arange(len(rows)) % 2
    if entry.halves is not None and set(entry.halves[rows].tolist()) == {1, 2}:
        halves = entry.halves[rows] - 1
    symmetry, structure = Symmetry(problem.task.symmetry), problem.structures[0]

    def maps(group: Tensor, count: int) -> tuple[DensityMap, ...]:
        sums = MapSums.empty(problem.particles.box, problem.particles.voxel_size, groups=count)
        sums.add(problem.particles[rows], poses, group)
        return tuple(sums.finish(symmetry))

    one, other = maps(halves, 2)
    between = compare_half_maps(one, other)
    (whole,) = maps(torch.zeros_like(halves), 1)
    return {
        "half_maps_0.143_angstrom": _finite(between.resolution(0.143)),
        "half_maps_0.5_angstrom": _finite(between.resolution(0.5)),
        "truth_0.5_angstrom": _finite(compare_half_maps(whole, structure).resolution(0.5)),
    }


def _finite(value: float) -> Measure:
    return Measure(value) if math.isfinite(value) else UNKNOWN


@dataclass(frozen=True)
class _Uncertainty:
    measures: dict[str, Measure]
    squared: Float[Tensor, " particles"]


def _uncertainty(problem: Problem, entry: Entry, errors: PoseErrors) -> _Uncertainty:
    """How often ellipsoids hold the truth, over all listed particles, and how errors compare with their sigmas.

    The errors' squares by the stated covariance are distributed as chi square with six degrees of freedom where the
    covariance holds. Means are of particles within 10 degrees: a particle in a wrong place is no question of sigmas.
    """
    names = ("inside_50", "inside_95", "inside_99")
    unknown = torch.full(errors.rotation_deg.shape, math.nan, dtype=torch.float64)
    if entry.covariances is None:
        said = {"with_uncertainty": Measure(0.0)}
        return _Uncertainty(
            {**said, **dict.fromkeys((*names, "z_rms", "z_rms_rotation", "z_rms_shift"), UNKNOWN)}, unknown
        )
    move = _nearest_move(entry.poses, problem.truth.poses, Symmetry(problem.task.symmetry))
    stated = torch.isfinite(entry.covariances).all(-1).all(-1) & entry.listed
    whole, turned, moved = (
        _squared(move[:, part], entry.covariances[:, part, part], stated) for part in (_ALL, _TURN, _SHIFT)
    )
    known = whole[stated].numpy()
    near = (stated & (errors.rotation_deg < FOUND_DEG)).numpy()
    measures = {"with_uncertainty": measure.share(int(stated.sum()), len(stated))}
    for name, level in zip(names, (0.5, 0.95, 0.99), strict=True):
        measures[name] = measure.share(int((known <= stats.chi2.ppf(level, 6)).sum()), len(known))
    for name, squared, freedom in (("z_rms", whole, 6), ("z_rms_rotation", turned, 3), ("z_rms_shift", moved, 3)):
        measures[name] = measure.root_mean_square(np.sqrt(squared.numpy()[near] / freedom))
    return _Uncertainty(measures, whole)


_ALL, _TURN, _SHIFT = slice(0, 6), slice(0, 3), slice(3, 6)


def _nearest_move(estimated: Poses, true: Poses, symmetry: Symmetry) -> Float[Tensor, "particles 6"]:
    """From the estimated pose to the nearest of the true ones."""
    mates = torch.einsum("pij,gjk->pgik", true.rotations, symmetry.rotations.to(true.rotations))
    turns = matrix_to_rotvec(mates @ estimated.rotations[:, None].mT)
    nearest = turns.norm(dim=-1).argmin(1)
    turn = turns[torch.arange(len(turns)), nearest]
    return torch.cat([turn, true.shifts - estimated.shifts], 1)


def _squared(
    move: Float[Tensor, "particles dof"], covariance: Float[Tensor, "particles dof dof"], stated: Tensor
) -> Float[Tensor, " particles"]:
    """``move^T covariance^-1 move``; infinite where the matrix is no covariance, NaN where none is stated."""
    squared = torch.full((len(move),), math.nan, dtype=torch.float64)
    factor, failed = torch.linalg.cholesky_ex(covariance[stated])
    usable = torch.where((failed == 0)[:, None, None], factor, torch.eye(move.shape[1], dtype=torch.float64))
    whitened = torch.linalg.solve_triangular(usable, move[stated][..., None], upper=False)[..., 0]
    squared[stated] = torch.where(failed == 0, whitened.square().sum(-1), torch.full_like(whitened[:, 0], math.inf))
    return squared


def _score_classes(problem: Problem, entry: Entry) -> Score:
    """Particles that are not listed, or are in class 0, which fits nothing, are a class of their own and not right."""
    assert entry.classes is not None
    truth = problem.truth.classes
    found = torch.where(entry.listed, entry.classes, torch.zeros_like(entry.classes))
    placed = found > 0
    right = torch.zeros_like(placed)
    if placed.any():
        right[placed] = matched(found[placed], truth[placed]) == truth[placed]
    index = measure.resampled(
        lambda rows: adjusted_rand_index(found[torch.from_numpy(rows)], truth[torch.from_numpy(rows)]), len(truth)
    )
    measures = {
        "listed": measure.share(int(entry.listed.sum()), len(truth)),
        "adjusted_rand_index": index,
        "right_class": measure.share(int(right.sum()), len(truth)),
        "classes_found": Measure(float(len(found[placed].unique()))),
    }
    return Score(measures, {"right_class": right.tolist(), "class": found.tolist()})
