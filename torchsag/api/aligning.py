"""``torchsag.align``: where a reference sits in each particle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.alignment.aligner import Aligner, AlignmentResult
from torchsag.api.arguments import (
    MapLike,
    ParticlesLike,
    TiltRangeLike,
    density_map,
    particle_set,
    point_group,
    whole_number,
)
from torchsag.api.runs import run_of
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry
from torchsag.io import write_particles
from torchsag.parallel import Serial
from torchsag.particles import DensityMap, ParticleSet
from torchsag.runs.calibration import calibrated_with
from torchsag.runs.checkpoint import Columns
from torchsag.runs.chunked_alignment import ChunkAligner, align_in_chunks, to_result
from torchsag.runs.chunked_sums import average_at
from torchsag.runs.device import pick_device


@dataclass(frozen=True)
class Alignment:
    """What `torchsag.align` found.

    Attributes
    ----------
    particles
        The particles, as they were given.
    result
        One row for each, in their order; NaN for particles set aside.
    average
        Of the particles at their poses, with the symmetry imposed.
    faults
        What is wrong with each particle set aside; empty for the others.
    """

    particles: ParticleSet
    result: AlignmentResult
    average: DensityMap
    faults: tuple[str, ...]

    @property
    def poses(self) -> Poses:
        """The best pose of each particle."""
        return self.result.poses

    @property
    def scores(self) -> Float[Tensor, " particles"]:
        """Constrained correlation with the reference at that pose."""
        return self.result.scores

    @property
    def covariances(self) -> Float[Tensor, "particles 6 6"]:
        """Of the tangent move: rotation vector (radians) and shift (voxels)."""
        return self.result.covariances

    def write(self, path: Path | str) -> None:
        """A list of the particles that have a pose, with all that was found, as the command writes it."""
        rows = [row for row, fault in enumerate(self.faults) if not fault]
        found = self.result[torch.tensor(rows)]
        write_particles(
            path, self.particles.select(rows), found.poses, scores=found.scores, covariances=found.covariances
        )


def align(
    particles: ParticlesLike,
    reference: MapLike,
    *,
    method: Aligner | str = "curvature_sag",
    symmetry: Symmetry | str = "C1",
    voxel_size: float | int | None = None,
    tilt_range: TiltRangeLike = None,
    device: str = "auto",
    chunk: int = 64,
    seed: int = 0,
    skip_bad: bool = False,
    out: str | Path | None = None,
    **settings: Any,
) -> Alignment:
    """Find where a reference sits in each particle.

    Parameters
    ----------
    particles
        A `ParticleSet`, a `ParticleBatch`, an array ``[particles, z, y, x]``, or a path: a list, a folder, a glob or a
        stack.
    reference
        A `DensityMap`, an array ``[z, y, x]`` of the particles' voxel size, or a path.
    method
        An aligner, or the name of one as on the command line.
    symmetry
        Point group of the reference, with RELION's axes.
    voxel_size
        Angstrom per voxel: needed for particles given as an array; of files, in place of what they say.
    tilt_range
        A `TiltRange`, or two angles in degrees, for particles of which neither list nor weights say what was measured.
    device
        ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` takes a GPU where there is one.
    chunk
        Particles aligned at a time; results do not depend on it.
    seed
        Of what methods draw at random.
    skip_bad
        Set particles with unusable data aside instead of stopping.
    out
        A folder for all that ``torchsag align`` writes; None writes nothing.
    settings
        Further keys of that command, such as ``truth``; they need `out`.

    Raises
    ------
    InputError
        Naming the argument, the key or the particle that cannot be used.
    """
    given = particle_set(particles, voxel_size, tilt_range)
    target = density_map("reference", reference, given)
    group = point_group(symmetry)
    aligner = aligner_of(method)
    whole_number("chunk", chunk, 1)
    whole_number("seed", seed, 0)
    if out is None:
        if settings:
            raise InputError(f"{next(iter(settings))}: expected out= with it, a folder for the results, got none")
        where = pick_device(device)
        prepared = calibrated_with(aligner.prepare(target, group, where), given, where)
        chunks = ChunkAligner(given, prepared, where, seed, skip_bad)
        columns = align_in_chunks(chunks, chunk, Serial(), None, [])
        return _alignment(given, columns, group, where, chunk)
    common = {"method": aligner, "symmetry": group.name, "device": device, "chunk": chunk, "seed": seed}
    keys = {**common, "skip_bad": skip_bad, **settings}
    with run_of("align", out) as run:
        needed = {"particles": run.particles(given), "reference": run.map("reference", target)}
        _, columns, average = run.workflow(needed, keys).carry_out(run.provenance(keys))
    return _alignment(given, columns, group, pick_device(device), chunk, average)


def aligner_of(method: Aligner | str, argument: str = "method") -> Aligner:
    """The aligner that a caller means.

    Raises
    ------
    InputError
        If it is none.
    """
    if isinstance(method, str):
        from torchsag.app.from_python import component

        made = component("method", method)
    else:
        made = method
    if isinstance(made, type) or not isinstance(made, Aligner):
        shown = f"the class {made.__name__}" if isinstance(made, type) else type(made).__name__
        raise InputError(f"{argument}: expected an aligner or the name of one, such as 'curvature_sag', got {shown}")
    return made


def _alignment(
    particles: ParticleSet,
    columns: Columns,
    symmetry: Symmetry,
    device: torch.device,
    chunk: int,
    average: DensityMap | None = None,
) -> Alignment:
    faults = tuple(str(fault) for fault in columns["fault"])
    result = to_result(columns, np.arange(len(faults)))
    rows = [row for row, fault in enumerate(faults) if not fault]
    if not rows:
        raise InputError(f"particles: every particle was set aside; the first: {faults[0]}")
    if average is None:
        kept = result.poses[torch.tensor(rows)]
        average = average_at(particles.select(rows), kept, symmetry, device, chunk, Serial())
    return Alignment(particles, result, average, faults)
