"""Aligned particles of EMAN2 (``.lst``): the number of an image, its file, and what is known of it, as JSON.

Of ``spt_NN/aliptcls3d_NN.lst``, ``spt_NN/particle_info_3d.lst`` and their like: ``xform.align3d`` takes the particle to
its reference, ``coord`` counts the particle's pixels from the tomogram's centre, ``class`` 0 and 1 are the even and odd
half-sets. A list without ``coord`` has it in ``particle_info_3d.lst`` beside it. Neither tells a pixel size:
``info/NAME_info.json`` of the project does (``apix_unbin``), and the name of the stack says how far it was shrunk
(``NAME__label_bin2.hdf``). Source: EMAN2's ``LSXFile``, ``e2spt_extract.py``, ``e2spt_gathermeta.py``; poses checked
against its ``Transform``.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from torchsag.errors import InputError
from torchsag.io.foreign import read_text
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks.json_text import numbers, parse_json, read_json, rotations
from torchsag.io.picks.places import centred_at, pick_names
from torchsag.io.plausible import LARGEST_NUMBER, whole
from torchsag.particles import Corrected

_MAGIC = ("#LSX", "#LST")
_POSE, _PLACE, _HALF, _SCORE = "xform.align3d", "coord", "class", "score"
_PLACES_FILE = "particle_info_3d.lst"
_SHRUNK = re.compile(r"_bin(\d{1,3}(?:_\d)?)$", re.ASCII)
_Entry = tuple[tuple[str, str], dict[str, Any]]  # number and file, and what is said of the image


def read_lst(path: Path) -> ParticleList:
    """The particles of a list, where they lie in their tomograms.

    Raises
    ------
    InputError
        If a line is not EMAN2's, a value in it can be no pose or position, or a position or a pixel size is nowhere.
    """
    entries = _entries(path)
    names = pick_names(path, len(entries))
    values = [said for _, said in entries]
    turned = [_POSE in said for said in values]
    if any(turned) and not all(turned):
        raise InputError(f"{path}: entry {turned.index(False) + 1}: expected {_POSE}, as other entries have it")
    known = {} if all(_PLACE in said for said in values) else _places(path)
    places = torch.tensor([_place(path, row, *entry, known) for row, entry in enumerate(entries)], dtype=torch.float64)
    stacks = [file for (_, file), _ in entries]
    pixels = {file: _pixel(path, file) for file in dict.fromkeys(stacks)}
    sizes = [pixels[file] for file in stacks]
    classes = _classes(path, values)
    even_and_odd = classes is not None and bool((classes <= 1).all() and (classes >= 0).all())
    listing = ParticleList(
        path=path,
        folders=(path.parent,),
        names=names,
        weighting=Corrected(),
        voxel_sizes=sizes,
        halves=classes + 1 if classes is not None and even_and_odd else None,
        classes=None if even_and_odd else classes,
        tomograms=[_tomogram(file) for file in stacks],
        scores=torch.tensor([_number(path, row, said, _SCORE, 0.0) for row, said in enumerate(values)]).double(),
    )
    if all(turned):
        listing = _posed(listing, values)
    return centred_at(listing, places * torch.tensor(sizes, dtype=torch.float64)[:, None])


def _posed(listing: ParticleList, values: list[dict[str, Any]]) -> ParticleList:
    """With poses: the transform y = A x + b takes the particle to the reference, so R = A^T and t = -A^T b."""
    rows = torch.tensor([_matrix(listing.path, row, said) for row, said in enumerate(values)], dtype=torch.float64)
    matrices = rows.reshape(-1, 3, 4)
    turned = rotations(listing.path, matrices[..., :3].mT.tolist())
    if turned is None:  # all of them the identity, which is what a list that nobody aligned holds
        return replace(listing, shifts=-matrices[..., 3])
    return replace(listing, rotations=turned, shifts=-(turned @ matrices[..., 3:]).squeeze(-1))


def _entries(path: Path) -> list[_Entry]:
    lines = read_text(path).split("\n")
    if lines[0].strip() not in _MAGIC:
        raise InputError(f"{path}: expected a list of EMAN2, beginning with {_MAGIC[0]}, got {lines[0][:40]!r}")
    found: list[_Entry] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split("\t")
        if len(words) not in (2, 3) or not words[0].strip().isascii() or not words[0].strip().isdigit():
            raise InputError(
                f"{path}: line {number}: expected the number of an image, its file and a JSON record between tabs, got "
                f"{line[:40]!r}"
            )
        said = parse_json(path, words[2], f"line {number}: ") if len(words) == 3 else {}
        if not isinstance(said, dict):
            raise InputError(f"{path}: line {number}: expected a JSON record, got {words[2][:40]!r}")
        found.append(((words[0].strip(), words[1].strip()), said))
    return found


def _places(path: Path) -> dict[tuple[str, str], Any]:
    """Positions by number and file, from the list that EMAN2 keeps beside its alignments."""
    beside = path.with_name(_PLACES_FILE)
    if beside == path or not beside.is_file():
        raise InputError(
            f"{path}: gives no {_PLACE} and there is no {_PLACES_FILE} beside it; keep it in its folder spt_NN, or "
            "write it with e2spt_gathermeta.py"
        )
    return {key: said[_PLACE] for key, said in _entries(beside) if _PLACE in said}


def _place(path: Path, row: int, key: tuple[str, str], said: dict[str, Any], known: dict[Any, Any]) -> list[float]:
    if _PLACE not in said and key not in known:
        raise InputError(f"{path}: entry {row + 1}: expected {_PLACE} of image {key[0]} of {key[1]}, got none")
    return numbers(path, row, said.get(_PLACE, known.get(key)), 3, f"x, y, z as {_PLACE}")


def _matrix(path: Path, row: int, said: dict[str, Any]) -> list[float]:
    """Twelve numbers, row by row; EMAN2 writes them as a text."""
    found = said[_POSE].get("matrix") if isinstance(said[_POSE], dict) else None
    if isinstance(found, str):
        found = parse_json(path, found, f"entry {row + 1}: {_POSE}: ")
    return numbers(path, row, found, 12, f"a matrix of 3 x 4 numbers as {_POSE}")


def _number(path: Path, row: int, said: dict[str, Any], key: str, default: float) -> float:
    return numbers(path, row, said.get(key, default), 1, f"a number as {key}")[0]


def _classes(path: Path, values: list[dict[str, Any]]) -> torch.Tensor | None:
    if not all(_HALF in said for said in values):
        return None
    listed = [_number(path, row, said, _HALF, 0.0) for row, said in enumerate(values)]
    return whole(path, torch.tensor(listed, dtype=torch.float64), _HALF, -LARGEST_NUMBER)


def _tomogram(file: str) -> str:
    """``TS_1`` of ``particles3d/TS_1__ribosome_bin2.hdf``."""
    return Path(file).stem.split("__")[0]


def _pixel(path: Path, file: str) -> float:
    """Angstrom per pixel of a stack's particles."""
    name = f"info/{_tomogram(file)}_info.json"
    own = path.resolve()
    found = next((place for place in (folder / name for folder in own.parents[:2]) if os.path.isfile(place)), None)
    size = read_json(found) if found is not None else None
    value = size.get("apix_unbin") if isinstance(size, dict) else None
    if not isinstance(value, (int, float)) or not 1e-3 < value < 1e5:
        raise InputError(
            f"{path}: expected apix_unbin, the angstrom of a pixel, in {name} of its project, got "
            f"{'no such file' if found is None else repr(value)}; keep the list in its folder spt_NN"
        )
    shrunk = _SHRUNK.search(Path(file).stem)
    return float(value) * (float(shrunk[1].replace("_", ".")) if shrunk else 1.0)
