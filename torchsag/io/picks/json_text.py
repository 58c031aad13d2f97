"""JSON of picks: what a value must be before it becomes part of a position or rotation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry.rotations import project_to_rotation
from torchsag.io.foreign import read_text

# Six printed digits leave an error near 1e-6; a reflection or a scaled matrix is far beyond it.
_SAME_ROTATION = 1e-2
_LARGEST = 1e300  # json reads whole numbers of any length, which no float64 holds


def read_json(path: Path) -> Any:
    """The document in a file.

    Raises
    ------
    InputError
        If there is none, or it is no JSON.
    """
    return parse_json(path, read_text(path), "")


def parse_json(path: Path, text: str, where: str) -> Any:
    """The value in a text; `where` says which part of the file it is.

    Raises
    ------
    InputError
        If it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {where}expected JSON, got {text[:40]!r} ({error})") from None


def triple(path: Path, row: int, record: Any, key: str) -> tuple[float, float, float]:
    """The numbers x, y, z under a key of the record of entry `row`, counted from 0.

    Raises
    ------
    InputError
        If one of them is missing or no finite number.
    """
    place = record.get(key) if isinstance(record, dict) else None
    values = [place.get(axis) for axis in "xyz"] if isinstance(place, dict) else [place]
    x, y, z = numbers(path, row, values, 3, f"{key} with x, y and z")
    return x, y, z


def numbers(path: Path, row: int, values: Any, count: int, what: str) -> list[float]:
    """So many finite numbers.

    Raises
    ------
    InputError
        If they are something else.
    """
    listed = values if isinstance(values, list) else [values]
    if len(listed) != count or not all(map(_is_number, listed)):
        raise InputError(f"{path}: entry {row + 1}: expected {what}, got {str(values)[:60]}")
    return [float(value) for value in listed]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST


def rotations(path: Path, matrices: list[list[list[float]]]) -> Float[Tensor, "picks 3 3"] | None:
    """Turns of the particle in its tomogram; None where all of them are the identity, which says that none is known.

    Raises
    ------
    InputError
        For the first matrix that is no rotation.
    """
    listed = torch.tensor(matrices, dtype=torch.float64)
    nearest = project_to_rotation(listed)
    off = ~((listed - nearest).abs().amax((1, 2)) <= _SAME_ROTATION)
    if off.any():
        row = int(off.nonzero()[0])
        raise InputError(f"{path}: entry {row + 1}: expected a rotation matrix, got {listed[row].tolist()}")
    same = torch.eye(3, dtype=torch.float64).expand_as(listed)
    return None if torch.equal(listed, same) else nearest
