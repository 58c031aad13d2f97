"""Dynamo tables (``.tbl``): one particle a line, at least 35 numbers.

Columns used, counted from 1: 1 tag, 2 aligned (0: not to be used), 4-6 shift (voxels), 7-9 tdrot tilt narot (degrees),
10 score, 13 type of tilt series (1: about y, 2: about x), 14-15 tilt range about y, 16-17 about x, 20 tomogram, 22
class (0: none), 24-26 position of the box centre (voxels).
Source: https://www.dynamo-em.org/w/index.php?title=Table; angles checked against numbers of the program itself.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.atomic import write_text
from torchsag.io.dynamo_volumes import tomogram_names
from torchsag.io.foreign import (
    name_folders,
    number_table,
    numbered_names,
    particle_numbers,
    poses_and_positions,
    read_text,
    single_ranges,
    tomogram_numbers,
    write_tomogram_map,
)
from torchsag.io.particle_list import ParticleList
from torchsag.io.plausible import LARGEST_ANGLE, LARGEST_LENGTH, LARGEST_NUMBER, finite, whole
from torchsag.io.relion_document import with_table
from torchsag.io.zxz import matrix_to_zxz, zxz_to_matrix
from torchsag.particles import TiltRange, Transfer

_COLUMNS = 35
_TILT_ABOUT_Y, _TILT_ABOUT_X = 1, 2
_AXIS_X_DEG = -90.0
_LOG = logging.getLogger(__name__)


def read_table(path: Path | str, volumes: Path | None = None) -> ParticleList:
    """Read a table; volumes are looked for beside it, or in the folder `volumes`, under the particles' tags.

    Raises
    ------
    InputError
        If the file is missing, empty or no table of numbers.
    """
    path = Path(path)
    table = _marked(path, number_table(path, read_text(path), least=26))

    def column(number: int, name: str, largest: float = math.inf) -> Float[Tensor, " rows"]:
        return finite(path, table[:, number - 1], f"column {number} ({name})", largest)

    tags = whole(path, column(1, "tag"), "column 1 (tag)").tolist()
    tomograms = whole(path, column(20, "tomo"), "column 20 (tomo)").tolist()
    known = tomogram_names(path)
    shifts, positions = (
        torch.stack([column(first + k, f"{sign}{axis}", LARGEST_LENGTH) for k, axis in enumerate("xyz")], -1)
        for first, sign in ((4, "d"), (24, ""))
    )
    tdrot, tilt, narot = (column(7 + k, name, LARGEST_ANGLE) for k, name in enumerate(("tdrot", "tilt", "narot")))
    return with_table(
        ParticleList(
            path=path,
            folders=name_folders(path, volumes),
            names=numbered_names(path, tags, "particle_{:06d}.em", volumes),
            weighting=Transfer(),
            tilt_ranges=[
                _tilt_range(path, row, values) for row, values in enumerate(table[:, 12:17].tolist(), start=1)
            ],
            rotations=zxz_to_matrix(torch.stack([tdrot, narot, tilt], -1)).mT,
            shifts=shifts,
            classes=whole(path, column(22, "class"), "column 22 (class)", least=-LARGEST_NUMBER),
            tomograms=[known.get(number, str(number)) for number in tomograms],
            positions=positions,
            scores=column(10, "cc"),
        )
    )


def _marked(path: Path, table: Float[Tensor, "rows columns"]) -> Float[Tensor, "used columns"]:
    """The particles that column 2 marks for use; all where it marks none, as in tables of other programs."""
    aside = int((table[:, 1] == 0).sum())
    if not 0 < aside < len(table):
        return table
    _LOG.warning("%s: %d of %d particles have 0 in column 2 (aligned) and are set aside", path, aside, len(table))
    return table[table[:, 1] != 0]


def _tilt_range(path: Path, row: int, values: list[float]) -> TiltRange | None:
    """Columns 13 to 17; None where the table does not say (type 0 is "full range", and what unset tables hold)."""
    kind, *limits = values
    if kind == 0:
        return None
    if kind not in (_TILT_ABOUT_Y, _TILT_ABOUT_X):
        raise InputError(
            f"{path}: entry {row}: expected a tilt series about y or x, 1 or 2 in column 13 (ftype), got {kind:g}, "
            "which torchsag cannot model; give weight volumes, or 0 there and one range with tilt_min_deg=... "
            "tilt_max_deg=..."
        )
    low, high = limits[:2] if kind == _TILT_ABOUT_Y else limits[2:]
    if low == high == 0:
        return None
    try:
        return TiltRange(low, high, 0.0 if kind == _TILT_ABOUT_Y else _AXIS_X_DEG)
    except InputError as error:
        raise InputError(f"{path}: entry {row}: columns 14 to 17: {error}") from None


def write_table(path: Path | str, listing: ParticleList, voxel_size: float | None = None) -> None:
    """Write a table; tags are the numbers that the volume names end in.

    Raises
    ------
    InputError
        If shifts are in angstrom and no voxel size is known, or the file cannot be written.
    """
    poses, positions, scores, classes = poses_and_positions(listing, voxel_size)
    table = torch.zeros(len(listing.names), _COLUMNS, dtype=torch.float64)
    table[:, 0] = torch.tensor(particle_numbers(listing))
    table[:, 1:3] = 1
    table[:, 3:6] = poses.shifts
    table[:, 6:9] = matrix_to_zxz(poses.rotations.mT)[:, [0, 2, 1]]
    table[:, 9] = scores
    for row, tilt_range in enumerate(single_ranges(listing, path)):
        if tilt_range is not None:
            low, high, kind = _about_axis(path, listing.names[row], tilt_range)
            table[row, 12:17] = torch.tensor([kind, low, high, low, high])
    table[:, 19] = torch.tensor(tomogram_numbers(listing))
    table[:, 21] = classes
    table[:, 23:26] = positions
    lines = [" ".join(f"{value:.12g}" for value in row) for row in (table + 0.0).tolist()]
    write_text(path, "\n".join(lines) + "\n")
    write_tomogram_map(path, listing)


def _about_axis(path: Path | str, name: str, tilt_range: TiltRange) -> tuple[float, float, int]:
    """First and last tilt, and the type of a series about y or x."""
    low, high, turn = tilt_range.tilt_min_deg, tilt_range.tilt_max_deg, tilt_range.axis_deg % 360
    for axis, kind in ((0.0, _TILT_ABOUT_Y), (_AXIS_X_DEG % 360, _TILT_ABOUT_X)):
        if turn == axis:
            return low, high, kind
        if (turn + 180) % 360 == axis:  # the same axis in the other direction
            return -high, -low, kind
    raise InputError(
        f"{path}: particle {name}: expected a tilt axis along y or x, got one {turn:g} degrees from y, which a Dynamo "
        "table cannot say; write a RELION list (program=relion)"
    )
