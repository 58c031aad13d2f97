"""``torchsag.average``: from particles to a map with a resolution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.alignment.aligner import Aligner, AlignmentResult
from torchsag.api.aligning import aligner_of
from torchsag.api.arguments import MapLike, ParticlesLike, TiltRangeLike, density_map, particle_set, point_group
from torchsag.api.runs import run_of
from torchsag.evaluation import HalfMapFSC
from torchsag.geometry import Poses, Symmetry
from torchsag.particles import DensityMap, ParticleSet
from torchsag.verdict import Verdict


@dataclass(frozen=True)
class Averaged:
    """What `torchsag.average` found.

    Attributes
    ----------
    average
        The map of both halves, weighted by its FSC.
    half_maps
        Unfiltered.
    mask
        Where the particle is, 0 to 1.
    local_resolution
        Around each voxel, angstrom.
    fsc
        Curves of the half-maps.
    particles
        The particles, as they were given.
    result
        One row for each, in their order; NaN for particles set aside.
    halves
        1 or 2 for each particle.
    faults
        What is wrong with each particle set aside; empty for the others.
    iterations
        A row of figures for each.
    verdict
        Whether the map can be believed, and what speaks against it.
    """

    average: DensityMap
    half_maps: tuple[DensityMap, DensityMap]
    mask: Float[Tensor, "z y x"]
    local_resolution: DensityMap
    fsc: HalfMapFSC
    particles: ParticleSet
    result: AlignmentResult
    halves: Integer[Tensor, " particles"]
    faults: tuple[str, ...]
    iterations: tuple[dict[str, Any], ...]
    verdict: Verdict

    @property
    def poses(self) -> Poses:
        """The pose of each particle."""
        return self.result.poses

    @property
    def resolution_angstrom(self) -> float:
        """Where the corrected FSC crosses 0.143."""
        return self.fsc.resolution()


def average(
    particles: ParticlesLike,
    *,
    reference: MapLike | None = None,
    symmetry: Symmetry | str = "C1",
    method: Aligner | str = "curvature_sag",
    voxel_size: float | int | None = None,
    tilt_range: TiltRangeLike = None,
    out: str | Path | None = None,
    **settings: Any,
) -> Averaged:
    """Average particles into a map, gold standard: from the particles alone, or from a low-passed map.

    Parameters
    ----------
    particles, symmetry, method, voxel_size, tilt_range
        As in `torchsag.align`.
    reference
        A map to start from; None starts from the particles alone.
    out
        A folder for all that ``torchsag average`` writes; None works in a temporary folder, which is removed.
    settings
        Further keys of that command: ``iterations=4``, ``parts=1``, ``start="listed_poses"``,
        ``local_method=None``, ``mask=`` an object, ...

    Raises
    ------
    InputError
        Naming the argument, the key or the particle that cannot be used.
    """
    given = particle_set(particles, voxel_size, tilt_range)
    keys = {"method": aligner_of(method), "symmetry": point_group(symmetry).name, **settings}
    target = None if reference is None else density_map("reference", reference, given)
    with run_of("average", out, given) as run:
        if target is not None:
            keys["reference"] = run.map("reference", target)
        workflow = run.workflow({"particles": run.particles()}, keys)
        outcome, finished = workflow.carry_out(run.provenance(keys))
    found, state = finished.final, finished.state
    return Averaged(
        average=found.final,
        half_maps=found.halves,
        mask=found.mask,
        local_resolution=found.local,
        fsc=found.fsc,
        particles=given,
        result=state.result,
        halves=finished.loop.halves,
        faults=tuple(map(run.in_names_of_the_caller, state.faults)),
        iterations=state.rows,
        verdict=outcome.verdict,
    )
