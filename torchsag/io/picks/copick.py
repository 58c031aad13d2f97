"""Picks of copick (``.json``): angstrom from the tomogram's first voxel, and a matrix that turns the particle into it.

The particle lies at ``location + transformation[:3, 3]`` (copick 1.31.0, ``CopickPoint``). A file knows its run by
name; in copick's own folders a run's picks are in ``RUN/Picks``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from torchsag.errors import InputError
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks.json_text import numbers, rotations, triple
from torchsag.io.picks.places import in_voxels_of, pick_names
from torchsag.particles import Corrected

_BOTTOM = [0.0, 0.0, 0.0, 1.0]


def read_copick(path: Path, document: Any) -> ParticleList:
    """The picks of a document.

    Raises
    ------
    InputError
        If it is none of copick, in another unit than angstrom, empty, or a value in it can be no position or rotation.
    """
    points = document.get("points") if isinstance(document, dict) else None
    if isinstance(document, dict) and document and all(key.startswith("('") for key in document):
        raise InputError(
            f"{path}: alignments of EMAN2's older programs, which hold no positions; make a .lst of them with "
            "e2spt_json2lst.py and e2spt_gathermeta.py"
        )
    if not isinstance(points, list):
        raise InputError(f"{path}: expected picks of copick or EMAN2, with points or boxes_3d; got neither")
    if document.get("unit", "angstrom") != "angstrom":
        raise InputError(f"{path}: expected unit angstrom, got {document['unit']!r}; save the picks with copick again")
    names = pick_names(path, len(points))
    places = torch.tensor([triple(path, row, point, "location") for row, point in enumerate(points)])
    matrices = [_transformation(path, row, point) for row, point in enumerate(points)]
    shifts = torch.tensor([[line[3] for line in matrix[:3]] for matrix in matrices])
    turns = [[line[:3] for line in matrix[:3]] for matrix in matrices]
    run = document.get("run_name") or (path.parent.parent.name if path.parent.name == "Picks" else path.stem)
    listing = ParticleList(
        path=path,
        folders=(path.parent,),
        names=names,
        weighting=Corrected(),
        rotations=rotations(path, turns) if document.get("trust_orientation", True) else None,
        tomograms=[str(run)] * len(names),
        positions=(places + shifts).double(),
        scores=torch.tensor([_score(path, row, point) for row, point in enumerate(points)], dtype=torch.float64),
    )
    return in_voxels_of(listing, 1.0)


def _transformation(path: Path, row: int, point: dict[str, Any]) -> list[list[float]]:
    listed = point.get("transformation_")
    if listed is None:
        return torch.eye(4).tolist()
    what = "a transformation_ of 4 x 4 numbers"
    lines = listed if isinstance(listed, list) and len(listed) == len(_BOTTOM) else [None] * len(_BOTTOM)
    matrix = [numbers(path, row, line, len(_BOTTOM), what) for line in lines]
    if matrix[3] != _BOTTOM:
        raise InputError(f"{path}: entry {row + 1}: expected {_BOTTOM} as the last row of its matrix, got {matrix[3]}")
    return matrix


def _score(path: Path, row: int, point: dict[str, Any]) -> float:
    score = point.get("score")
    return 1.0 if score is None else numbers(path, row, score, 1, "a number as score")[0]
