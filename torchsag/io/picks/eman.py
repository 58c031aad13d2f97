"""Boxes of EMAN2 (``info/NAME_info.json``): unbinned pixels from the tomogram's centre.

A box is x, y, z, how it was picked, a score and a class (``class_list`` names it); ``apix_unbin`` is the size of what
its numbers count, as cryohub 0.6.4 reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from torchsag.errors import InputError
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks.json_text import numbers
from torchsag.io.picks.places import centred_at, pick_names
from torchsag.io.plausible import LARGEST_NUMBER, whole
from torchsag.particles import Corrected

_BOXES, _PIXEL = "boxes_3d", "apix_unbin"


def is_eman(document: Any) -> bool:
    """Whether a document holds boxes in a tomogram."""
    return isinstance(document, dict) and _BOXES in document


def read_eman(path: Path, document: dict[str, Any]) -> ParticleList:
    """The boxes of a document, in angstrom from the centre.

    Raises
    ------
    InputError
        If a box is none, or the pixel size is missing.
    """
    boxes = document[_BOXES] if isinstance(document[_BOXES], list) else []
    names = pick_names(path, len(boxes))
    pixel = document.get(_PIXEL)
    if not isinstance(pixel, (int, float)) or not 1e-3 < pixel < 1e5:
        raise InputError(
            f"{path}: expected {_PIXEL}, the angstrom that one unit of {_BOXES} measures, got {pixel!r}; without it "
            "nobody can tell what the boxes count"
        )
    entries = [_box(path, row, box) for row, box in enumerate(boxes)]
    values = torch.tensor(entries, dtype=torch.float64)
    listing = ParticleList(
        path=path,
        folders=(path.parent,),
        names=names,
        weighting=Corrected(),
        tomograms=[path.stem.removesuffix("_info")] * len(names),
        scores=values[:, 3],
        classes=whole(path, values[:, 4], "class", -LARGEST_NUMBER),
    )
    return centred_at(listing, values[:, :3] * pixel)


def _box(path: Path, row: int, box: Any) -> list[float]:
    """x, y, z, score and class; the last two are missing from files of old versions."""
    listed = box if isinstance(box, list) else [box]
    place = numbers(path, row, listed[:3], 3, "x, y, z of a box")
    rest = numbers(path, row, listed[4:6], 2, "score and class of a box") if len(listed) > 4 else [0.0, 0.0]
    return [*place, *rest]
