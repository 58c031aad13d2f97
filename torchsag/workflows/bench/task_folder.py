"""A task as files: what an entrant is given, and nothing of the truth."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from torchsag.bench.fingerprint import require_published
from torchsag.bench.making import Problem, make
from torchsag.bench.task import EDITION, Task
from torchsag.errors import InputError
from torchsag.fourier.transforms import full_weight
from torchsag.io import write_map, write_poses, write_text
from torchsag.io.particle_list import ListOrigin
from torchsag.io.relion import WEIGHT
from torchsag.io.volumes import read_volume
from torchsag.particles import DensityMap, ParticleSet, Transfer, VolumeSource
from torchsag.runs.output_folder import require_room

_ASKED = {
    "align": "the pose of each particle against reference.mrc",
    "average": "the pose of each particle in one common frame; rlnRandomSubset says which half it was in, if any",
    "classify": "rlnClassNumber of each particle, from 1; 0 for what fits no class",
    "calibrate": "the pose of each particle against reference.mrc, and torchsagCovarianceDegAngst",
}
_WEIGHT = "weights/wedge.mrc"
_DESCRIPTION = "task.json"


def write_task(folder: Path, task: Task) -> Problem:
    """Write ``particles.star`` with its volumes and weight, ``reference.mrc`` if there is one, and ``task.json``.

    A folder that holds the task already is left as it is.

    Raises
    ------
    InputError
        If the folder holds something else, or what is made here is not what the benchmark was published with.
    """
    problem = make(task)
    require_published(problem)
    description = folder / _DESCRIPTION
    text = json.dumps(_description(task), indent=1) + "\n"
    if description.is_file():
        if description.read_text(encoding="utf-8") != text:
            raise InputError(f"{folder}: holds another edition of {task.name}; choose another out=, or remove it first")
        return problem
    folder.mkdir(parents=True, exist_ok=True)
    require_room(folder, 5 * task.particles * task.box**3)
    batch = problem.particles
    names = tuple(f"particles/{name}" for name in batch.names)
    for name, volume in zip(names, batch.volumes, strict=True):
        write_map(folder / name, DensityMap(volume, batch.voxel_size))
    weight = full_weight(batch.weights[0], batch.box).contiguous()
    write_map(folder / _WEIGHT, DensityMap(weight, batch.voxel_size))
    if problem.reference is not None:
        write_map(folder / "reference.mrc", problem.reference)
    particles = ParticleSet(
        names=names,
        box=batch.box,
        voxel_size=batch.voxel_size,
        volumes=tuple(VolumeSource(folder / name) for name in names),
        weights=(VolumeSource(folder / _WEIGHT),) * len(names),
        weighting=Transfer(),
        reader=read_volume,
        origin=ListOrigin(folder=folder, blocks={}),
    )
    write_poses(folder / "particles.star", particles, None, columns={WEIGHT: [_WEIGHT] * len(names)})
    write_text(description, text)  # last: its being there says that all is
    return problem


def _description(task: Task) -> dict[str, Any]:
    """What entrants may know."""
    told = ("kind", "difficulty", "particles", "box", "voxel_size_angstrom", "symmetry", "snr", "max_shift_voxels")
    recipe = dataclasses.asdict(task)
    return {
        "benchmark": f"torchsag bench, edition {EDITION}",
        "task": task.name,
        **{name: recipe[name] for name in told},
        "tilt_min_deg": -task.tilt_deg,
        "tilt_max_deg": task.tilt_deg,
        "tilt_axis": "y",
        "classes": len(task.structures),
        "reference": "reference.mrc" if task.reference_given else None,
        "asked": _ASKED[task.kind],
        "recipe_sha256": task.recipe_digest,
    }
