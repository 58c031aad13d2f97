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
from torchsag.particles import DensityMap, ParticleSet
from torchsag.runs.chunked_alignment import to_result
from torchsag.verdict import Verdict


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
    verdict
        Whether the poses can be believed, and what speaks against it.
    """

    particles: ParticleSet
    result: AlignmentResult
    average: DensityMap
    faults: tuple[str, ...]
    verdict: Verdict

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
    chunk: int | None = None,
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
        Particles aligned at a time; results do not depend on it. None takes 64 on a CPU, and what the memory of a GPU
        holds there.
    seed
        Of what methods draw at random.
    skip_bad
        Set particles with unusable data aside instead of stopping.
    out
        A folder for all that ``torchsag align`` writes; None works in a temporary folder, which is removed.
    settings
        Further keys of that command: ``mirror=True``, ``search=`` an object, ...

    Raises
    ------
    InputError
        Naming the argument, the key or the particle that cannot be used.
    """
    given = particle_set(particles, voxel_size, tilt_range)
    target = density_map("reference", reference, given)
    group = point_group(symmetry)
    aligner = aligner_of(method)
    if chunk is not None:
        whole_number("chunk", chunk, 1)
    whole_number("seed", seed, 0)
    if settings.get("part") is not None:
        raise InputError(f"part: expected none from Python, got {settings['part']!r}; `torchsag align` takes parts")
    common = {"method": aligner, "symmetry": group.name, "device": device, "chunk": chunk, "seed": seed}
    keys = {**common, "skip_bad": skip_bad, **settings}
    with run_of("align", out, given) as run:
        needed = {"particles": run.particles(), "reference": run.map("reference", target)}
        outcome, columns, average = run.workflow(needed, keys).carry_out(run.provenance(keys))
    assert average is not None  # without parts, one process has it
    faults = tuple(run.in_names_of_the_caller(str(fault)) for fault in columns["fault"])
    return Alignment(given, to_result(columns, np.arange(len(faults))), average, faults, outcome.verdict)


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
