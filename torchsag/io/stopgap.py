"""STOPGAP motive lists (``.star`` with a block ``stopgap_motivelist``).

Angles ``phi psi the`` are those of AV3, in degrees; ``orig_*`` is the position of the box centre and ``*_shift`` the
shift, voxels; half-sets are A and B. What was tilted how stands in a wedge list beside it
(`torchsag.io.wedge_list`). Source: Wan et al. (2024) Acta Cryst. D80:336, and the program's ``sg_toolbox``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.atomic import write_text
from torchsag.io.foreign import (
    name_folders,
    numbered_names,
    particle_numbers,
    poses_and_positions,
    read_tomogram_map,
    say_wedges_are_lost,
    tomogram_numbers,
    write_tomogram_map,
)
from torchsag.io.particle_list import ParticleList
from torchsag.io.plausible import LARGEST_ANGLE, LARGEST_LENGTH, LARGEST_NUMBER, numbers, whole
from torchsag.io.relion_document import with_table
from torchsag.io.star import Block, Loop, read_star
from torchsag.io.wedge_list import tilts_by_tomogram
from torchsag.io.zxz import matrix_to_zxz, zxz_to_matrix
from torchsag.particles import Transfer

BLOCK = "stopgap_motivelist"
_POSITION = ("orig_x", "orig_y", "orig_z")
_SHIFT = ("x_shift", "y_shift", "z_shift")
_ANGLES = ("phi", "psi", "the")
_COLUMNS = (
    "motl_idx", "tomo_num", "object", "subtomo_num", "halfset", *_POSITION, "score", *_SHIFT, *_ANGLES, "class",
)  # fmt: skip


def read_motive_list(path: Path | str) -> ParticleList:
    """Read a motive list; volumes are looked for beside it under the particles' numbers.

    Raises
    ------
    InputError
        If the file is missing or no motive list.
    """
    path = Path(path)
    return particle_list(path, read_star(path))


def particle_list(path: Path, blocks: dict[str, Block], volumes: Path | None = None) -> ParticleList:
    """What the blocks of a STAR file say; see `read_motive_list`. Volumes are in `volumes` where that is given."""
    table = blocks.get(BLOCK)
    missing = [n for n in _COLUMNS if n != "halfset" and not (isinstance(table, Loop) and n in table.columns)]
    if not isinstance(table, Loop) or missing:
        raise InputError(f"{path}: expected a STOPGAP motive list, {', '.join(missing)} missing")
    if len(table) == 0:
        raise InputError(f"{path}: expected at least one particle, got an empty list")
    particles = whole(path, numbers(path, table.columns["subtomo_num"], "subtomo_num"), "subtomo_num").tolist()
    known = read_tomogram_map(path)
    tomograms = whole(path, numbers(path, table.columns["tomo_num"], "tomo_num"), "tomo_num").tolist()
    classes = whole(path, numbers(path, table.columns["class"], "class"), "class", least=-LARGEST_NUMBER)
    halves = table.columns.get("halfset", [])
    split = set(halves) == {"A", "B"}
    return with_table(
        ParticleList(
            path=path,
            folders=name_folders(path, volumes),
            names=numbered_names(path, particles, "subtomo_{:d}.mrc", volumes),
            weighting=Transfer(),
            tilt_ranges=tilts_by_tomogram(path, tomograms),
            rotations=zxz_to_matrix(_numbers(path, table, _ANGLES, LARGEST_ANGLE)),
            shifts=_numbers(path, table, _SHIFT, LARGEST_LENGTH),
            halves=torch.tensor(["AB".index(half) + 1 for half in halves]) if split else None,
            classes=classes,
            tomograms=[
                known.get(number, text) for number, text in zip(tomograms, table.columns["tomo_num"], strict=True)
            ],
            positions=_numbers(path, table, _POSITION, LARGEST_LENGTH),
            scores=_numbers(path, table, ("score",)).flatten(),
        )
    )


def _numbers(path: Path, table: Loop, names: Sequence[str], largest: float = math.inf) -> Float[Tensor, "rows columns"]:
    return torch.stack([numbers(path, table.columns[name], name, largest) for name in names], -1)


def write_motive_list(path: Path | str, listing: ParticleList, voxel_size: float | None = None) -> None:
    """Write a motive list; particle numbers are those that the volume names end in.

    Raises
    ------
    InputError
        If shifts are in angstrom and no voxel size is known, or the file cannot be written.
    """
    poses, positions, scores, classes = poses_and_positions(listing, voxel_size)
    tomograms, numbers = tomogram_numbers(listing), particle_numbers(listing)
    angles = matrix_to_zxz(poses.rotations)
    # STOPGAP's reader wants bare column names and an empty line before the first particle.
    lines = ["", f"data_{BLOCK}", "", "loop_", *(f"_{name}" for name in _COLUMNS), ""]
    for k in range(len(listing.names)):
        half = "A" if listing.halves is None else "AB"[int(listing.halves[k]) - 1]
        shift, angle, position = (f"{x:.6f} {y:.6f} {z:.6f}" for x, y, z in (poses.shifts[k], angles[k], positions[k]))
        lines.append(
            f"{k + 1} {tomograms[k]} 1 {numbers[k]} {half} {position} {float(scores[k]):.6f} {shift} {angle} "
            f"{int(classes[k])}"
        )
    write_text(path, "\n".join(lines) + "\n")
    write_tomogram_map(path, listing)
    say_wedges_are_lost(listing, path, "STOPGAP wants a wedge list of each tomogram's tilts, which it makes itself")
