"""Dynamo tables (``.tbl``): one particle a line, at least 35 numbers.

Columns used, counted from 1: 1 tag, 2 aligned, 3 averaged, 4-6 shift (voxels), 7-9 tdrot tilt narot (degrees), 10
score, 13 type of tilt series (1: about y), 14-15 its tilt range, 20 tomogram, 22 class, 24-26 position of the box
centre (voxels).
Source: https://www.dynamo-em.org/w/index.php?title=Table; angles checked against numbers of the program itself.
"""

from __future__ import annotations

from pathlib import Path

import torch

from torchsag.errors import InputError
from torchsag.io.atomic import write_text
from torchsag.io.foreign import (
    number_table,
    numbered_names,
    particle_numbers,
    poses_and_positions,
    tomogram_numbers,
)
from torchsag.io.particle_list import ParticleList
from torchsag.io.relion_document import with_table
from torchsag.io.zxz import matrix_to_zxz, zxz_to_matrix
from torchsag.particles import TiltRange, Transfer

_COLUMNS = 35
_TILT_ABOUT_Y = 1


def read_table(path: Path | str) -> ParticleList:
    """Read a table; volumes are looked for beside it under the particles' tags.

    Raises
    ------
    InputError
        If the file is missing, empty or no table of numbers.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    table = number_table(path, text, least=26)
    tags = [int(tag) for tag in table[:, 0].tolist()]
    return with_table(
        ParticleList(
            path=path,
            folders=(path.parent, Path()),
            names=numbered_names(path, tags, "particle_{:06d}.em"),
            weighting=Transfer(),
            tilt_ranges=[_tilt_range(row) for row in table[:, 12:15].tolist()],
            rotations=zxz_to_matrix(table[:, [6, 8, 7]]).mT,
            shifts=table[:, 3:6],
            classes=table[:, 21].long(),
            tomograms=[str(int(number)) for number in table[:, 19].tolist()],
            positions=table[:, 23:26],
            scores=table[:, 9],
        )
    )


def _tilt_range(row: list[float]) -> TiltRange | None:
    kind, low, high = row
    return TiltRange(low, high) if kind == _TILT_ABOUT_Y and low < high else None


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
    for row, tilt_range in enumerate(listing.tilt_ranges or []):
        if tilt_range is not None:
            ends = (tilt_range.tilt_min_deg, tilt_range.tilt_max_deg)
            table[row, 12:17] = torch.tensor([_TILT_ABOUT_Y, *ends, *ends])
    table[:, 19] = torch.tensor(tomogram_numbers(listing))
    table[:, 21] = classes
    table[:, 23:26] = positions
    lines = [" ".join(f"{value:.8g}" for value in row) for row in (table + 0.0).tolist()]
    write_text(path, "\n".join(lines) + "\n")
