"""``torchsag.classify``: which particles are of which kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.api.arguments import MapLike, ParticlesLike, TiltRangeLike, density_map, particle_set, point_group
from torchsag.api.runs import run_of
from torchsag.classification.classifier import Classifier
from torchsag.evaluation import HalfMapFSC
from torchsag.geometry import Poses, Symmetry
from torchsag.particles import DensityMap, ParticleSet
from torchsag.verdict import Verdict


@dataclass(frozen=True)
class ParticleClass:
    """One class.

    Attributes
    ----------
    average
        The map of both halves, weighted by its FSC.
    half_maps
        Unfiltered.
    fsc
        Of the half-maps.
    """

    average: DensityMap
    half_maps: tuple[DensityMap, DensityMap]
    fsc: HalfMapFSC


@dataclass(frozen=True)
class Classification:
    """What `torchsag.classify` found.

    Attributes
    ----------
    particles
        The particles, as they were given.
    labels
        Number of each particle's class, from 1 by size; 0 fits none, -1 was set aside.
    probabilities
        Of that class, given all of them; NaN where a particle was set aside.
    correlations
        With the average of the class without the particle; NaN where it was set aside.
    poses
        Of each particle in its class; NaN where it was set aside.
    classes
        Maps of classes 1, 2, ...
    rest
        Of class 0; None where all fit.
    common
        The common average.
    verdict
        Whether the classes can be believed, and what speaks against it.
    """

    particles: ParticleSet
    labels: Integer[Tensor, " particles"]
    probabilities: Float[Tensor, " particles"]
    correlations: Float[Tensor, " particles"]
    poses: Poses
    classes: tuple[ParticleClass, ...]
    rest: ParticleClass | None
    common: DensityMap
    verdict: Verdict | None


def classify(
    particles: ParticlesLike,
    *,
    classes: int = 10,
    symmetry: Symmetry | str = "C1",
    common_symmetry: Symmetry | str | None = None,
    method: Classifier | str = "mco_a",
    reference: MapLike | None = None,
    voxel_size: float | int | None = None,
    tilt_range: TiltRangeLike = None,
    out: str | Path | None = None,
    **settings: Any,
) -> Classification:
    """Divide particles into classes, beginning with the particles alone, a map, or their poses.

    Parameters
    ----------
    particles, voxel_size, tilt_range
        As in `torchsag.align`.
    classes
        How many at first; those that the data cannot tell apart are merged.
    symmetry
        Of the classes.
    common_symmetry
        Of their common average where it is higher.
    method
        A classifier, or the name of one as on the command line.
    reference
        A map for the common average to start from.
    out
        A folder for all that ``torchsag classify`` writes; None works in a temporary folder, which is removed.
    settings
        Further keys of that command: ``repeats=1``, ``alignment="sag"``, ``start="listed_poses"``, ...

    Raises
    ------
    InputError
        Naming the argument, the key or the particle that cannot be used.
    """
    given = particle_set(particles, voxel_size, tilt_range)
    common = None if common_symmetry is None else point_group(common_symmetry).name
    own = {"classes": classes, "symmetry": point_group(symmetry).name, "common_symmetry": common, "method": method}
    keys = {**own, **settings}
    target = None if reference is None else density_map("reference", reference, given)
    with run_of("classify", out, given) as run:
        if target is not None:
            keys["reference"] = run.map("reference", target)
        workflow = run.workflow({"particles": run.particles()}, keys)
        outcome, finished = workflow.carry_out(run.provenance(keys))
    count, rows = len(given), finished.usable
    poses = Poses(torch.full((count, 3, 3), torch.nan), torch.full((count, 3), torch.nan))
    poses.rotations[rows], poses.shifts[rows] = finished.poses.rotations, finished.poses.shifts
    labels = torch.full((count,), -1, dtype=torch.long)
    labels[rows] = finished.classes
    return Classification(
        particles=given,
        labels=labels,
        probabilities=_spread(count, rows, finished.probabilities),
        correlations=_spread(count, rows, finished.correlations),
        poses=poses,
        classes=tuple(_shown(one) for one in finished.maps),
        rest=None if finished.rest is None else _shown(finished.rest),
        common=finished.scene.frame.average,
        verdict=outcome.verdict,
    )


def _spread(count: int, rows: Tensor, values: Tensor) -> Tensor:
    everyone = torch.full((count,), torch.nan)
    everyone[rows] = values.float()
    return everyone


def _shown(one: Any) -> ParticleClass:
    return ParticleClass(one.shown(), one.halves, one.fsc)
