"""Motive lists of PEET (``.csv``): 20 columns a particle; its positions are points of an IMOD model beside the list.

Used, counted from 1: 1 score (CCC), 4 pIndex (which point of the model, from 1), 11-13 offset added to the point,
voxels, 17-19 phi, psi, theta as AV3 has them (``EulerZ(1)``, ``EulerZ(3)``, ``EulerX(2)``), 20 class. Source: PEET's
``alignSubset`` manual; angles and the sign of the offsets as cylindra reads them.
"""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from torchsag.errors import InputError
from torchsag.io.foreign import MOTIVE_NUMBERS, read_text
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks.imod import model_points
from torchsag.io.picks.places import pick_names
from torchsag.io.plausible import LARGEST_ANGLE, LARGEST_LENGTH, LARGEST_NUMBER, numbers, whole
from torchsag.io.relion_document import with_table
from torchsag.io.zxz import zxz_to_matrix
from torchsag.particles import Corrected

_MARK = "CCC,reserved,"
_USED = {
    1: "CCC", 4: "pIndex", 11: "xOffset", 12: "yOffset", 13: "zOffset", 17: "EulerZ(1)", 18: "EulerZ(3)",
    19: "EulerX(2)", 20: "class",
}  # fmt: skip
_LARGEST = {**dict.fromkeys((11, 12, 13), LARGEST_LENGTH), **dict.fromkeys((17, 18, 19), LARGEST_ANGLE)}


def is_motive_list(path: Path) -> bool:
    """Whether a csv begins with PEET's header."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MARK)) == _MARK.encode()
    except OSError:
        return False


def read_motive_list(path: Path) -> ParticleList:
    """The particles of a list, at the points of the model that has its name, or is the only one in its folder.

    Raises
    ------
    InputError
        If a row is not PEET's, there is no such model, or it has no such point.
    """
    rows = [row for row in csv.reader(read_text(path).splitlines()[1:]) if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != MOTIVE_NUMBERS:
            raise InputError(f"{path}: entry {number}: expected {MOTIVE_NUMBERS} numbers, got {len(row)}")
    names = pick_names(path, len(rows))
    columns = {
        number: numbers(path, [row[number - 1].strip() for row in rows], name, _LARGEST.get(number, float("inf")))
        for number, name in _USED.items()
    }
    model = _model(path)
    points, _ = model_points(model)
    which = whole(path, columns[4], "pIndex", least=1, largest=len(points))
    return with_table(
        ParticleList(
            path=path,
            folders=(path.parent,),
            names=names,
            weighting=Corrected(),
            rotations=zxz_to_matrix(torch.stack([columns[number] for number in (17, 18, 19)], -1)),
            shifts=torch.stack([columns[number] for number in (11, 12, 13)], -1),
            classes=whole(path, columns[20], "class", -LARGEST_NUMBER),
            tomograms=[model.stem] * len(names),
            positions=points[which - 1],
            scores=columns[1],
        )
    )


def _model(path: Path) -> Path:
    own = path.with_suffix(".mod")
    models = [own] if own.is_file() else sorted(path.parent.glob("*.mod"))
    if len(models) != 1:
        found = ", ".join(model.name for model in models[:3]) or "none"
        raise InputError(
            f"{path}: PEET's list knows its particles by their points in an IMOD model; expected {own.name} beside "
            f"it, or one model alone, got {found}"
        )
    return models[0]
