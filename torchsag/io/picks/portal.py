"""Points of the CryoET Data Portal (``.ndjson``): one JSON record a line, in voxels of the annotated tomogram.

``xyz_rotation_matrix`` turns the particle into its tomogram, as copick 1.31.0 and zarr-particle-tools 1.0.1 take it.
The file does not name its tomogram.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from torchsag.errors import InputError
from torchsag.io.foreign import read_text
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks.json_text import numbers, parse_json, rotations, triple
from torchsag.io.picks.places import pick_names
from torchsag.io.relion_document import with_table
from torchsag.particles import Corrected

_MATRIX = "xyz_rotation_matrix"


def read_points(path: Path) -> ParticleList:
    """The points of a file.

    Raises
    ------
    InputError
        If a line is no record of a point, or a value in it can be no position or rotation.
    """
    lines = [(number, line) for number, line in enumerate(read_text(path).split("\n"), start=1) if line.strip()]
    points = [parse_json(path, line, f"line {number}: ") for number, line in lines]
    places = [triple(path, row, point, "location") for row, point in enumerate(points)]
    turned = [_MATRIX in point for point in points]
    if any(turned) and not all(turned):
        raise InputError(f"{path}: entry {turned.index(False) + 1}: expected {_MATRIX}, as other entries have it")
    return with_table(
        ParticleList(
            path=path,
            folders=(path.parent,),
            names=pick_names(path, len(points)),
            weighting=Corrected(),
            rotations=rotations(path, [_turn(path, row, one) for row, one in enumerate(points)])
            if any(turned)
            else None,
            positions=torch.tensor(places, dtype=torch.float64),
        )
    )


def _turn(path: Path, row: int, point: dict[str, Any]) -> list[list[float]]:
    what = f"an {_MATRIX} of 3 x 3 numbers"
    listed = point[_MATRIX]
    lines = listed if isinstance(listed, list) and len(listed) == 3 else [None] * 3
    return [numbers(path, row, line, 3, what) for line in lines]
