"""Particle lists as comma-separated tables."""

from __future__ import annotations

import csv
import difflib
from pathlib import Path

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.csv_cells import plain_text
from torchsag.errors import InputError
from torchsag.geometry import zyz_to_matrix
from torchsag.geometry.rotations import project_to_rotation
from torchsag.io.particle_list import ParticleList
from torchsag.io.plausible import LARGEST_ANGLE, LARGEST_LENGTH, LARGEST_NUMBER, numbers, whole
from torchsag.io.relion_document import with_table
from torchsag.particles import Corrected, TiltRange

_ANGLES = ("rot_deg", "tilt_deg", "psi_deg")
_MATRIX = tuple(f"R{row}{column}" for row in range(3) for column in range(3))
_SHIFTS = ("shift_x", "shift_y", "shift_z")
_SHORT_SHIFTS = ("tx", "ty", "tz")
_POSITION = ("x", "y", "z")
_TILTS = ("tilt_min_deg", "tilt_max_deg")
_AXIS = "tilt_axis_deg"
_LABELS = ("volume", "weight", *_TILTS, _AXIS, "tomogram", "half", "class")
COLUMNS = (*_LABELS, *_POSITION, *_ANGLES, *_MATRIX, *_SHIFTS, *_SHORT_SHIFTS)


def read_csv_list(path: Path | str, named: bool = True) -> ParticleList:
    """Read a particle list; one of positions alone need not name volumes, unless it must be `named`.

    Columns: ``volume`` (a path relative to the list, or ``000003@stack.mrcs``); optionally ``weight`` (Fourier weight
    volume, inverse noise variance unless told otherwise), ``tilt_min_deg`` and ``tilt_max_deg`` (``tilt_axis_deg``
    where the axis is not y), ``tomogram``, ``x y z`` (where the box centre lies in it, voxels), ``half`` (1 or 2),
    ``class`` (0 for none), and a prior pose: ``rot_deg tilt_deg psi_deg`` or ``R00 .. R22``, with ``shift_x shift_y
    shift_z`` or ``tx ty tz`` in voxels. An apostrophe in front of ``= + - @`` is that of a spreadsheet and no part of a
    name.

    Raises
    ------
    InputError
        For a missing file, an empty list, an unknown or incomplete column, or a value that is no number.
    """
    path = Path(path)
    columns = _read_columns(path, named)
    volumes, count = columns.get("volume"), len(next(iter(columns.values())))
    columns.setdefault("volume", [f"position_{k:06d}" for k in range(1, count + 1)])
    rotations, shifts = _poses(path, columns, count)
    weights = columns.get("weight")
    listing = ParticleList(
        path=path,
        folders=(path.parent,),
        names=columns["volume"],
        weighting=Corrected(),
        weight_names=None if weights is None else [name or None for name in weights],
        tilt_ranges=_tilt_ranges(path, columns),
        rotations=rotations,
        shifts=shifts,
        halves=_integers(path, columns, "half", (1, 2)),
        classes=_integers(path, columns, "class", (-LARGEST_NUMBER, LARGEST_NUMBER)),
        tomograms=columns.get("tomogram"),
        positions=_numbers(path, columns, _POSITION) if any(name in columns for name in _POSITION) else None,
        named=volumes is not None,
    )
    return with_table(listing)


def _read_columns(path: Path, named: bool) -> dict[str, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = [row for row in csv.reader(file, skipinitialspace=True) if row]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as comma-separated text ({error})") from error
    if not rows:
        raise InputError(f"{path}: expected a header line with a column volume, got an empty file")
    header = [name.strip() for name in rows[0]]
    for name in header:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known columns are {', '.join(COLUMNS)}"
            raise InputError(f"{path}: unknown column {name!r}; {hint}")
    if (named and "volume" not in header) or len(set(header)) < len(header):
        raise InputError(f"{path}: expected a column volume and no column twice, got {', '.join(header)}")
    if len(rows) == 1:
        raise InputError(f"{path}: expected at least one particle, got an empty list")
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise InputError(f"{path}: particle {number}: expected {len(header)} values, got {len(row)}")
    return {name: [plain_text(row[k].strip()) for row in rows[1:]] for k, name in enumerate(header)}


def _numbers(path: Path, columns: dict[str, list[str]], names: tuple[str, ...]) -> Float[Tensor, "rows columns"]:
    missing = [name for name in names if name not in columns]
    if missing:
        raise InputError(f"{path}: expected columns {', '.join(names)} together, {', '.join(missing)} missing")
    largest = LARGEST_ANGLE if names[0].endswith("_deg") else LARGEST_LENGTH
    return torch.stack([numbers(path, columns[name], name, largest, columns["volume"]) for name in names], -1)


def _integers(
    path: Path, columns: dict[str, list[str]], name: str, limits: tuple[int, int]
) -> Integer[Tensor, " rows"] | None:
    if name not in columns:
        return None
    values = numbers(path, columns[name], name, names=columns["volume"])
    return whole(path, values, name, *limits, names=columns["volume"])


def _tilt_ranges(path: Path, columns: dict[str, list[str]]) -> list[TiltRange] | None:
    if not any(name in columns for name in _TILTS):
        return None
    ranges: list[TiltRange] = []
    names = (*_TILTS, _AXIS) if _AXIS in columns else _TILTS
    for volume, angles in zip(columns["volume"], _numbers(path, columns, names).tolist(), strict=True):
        try:
            ranges.append(TiltRange(*angles))
        except InputError as error:
            raise InputError(f"{path}: particle {volume}: {error}") from None
    return ranges


def _poses(
    path: Path, columns: dict[str, list[str]], count: int
) -> tuple[Float[Tensor, "rows 3 3"] | None, Float[Tensor, "rows 3"] | None]:
    rotations = None
    if any(name in columns for name in _MATRIX):
        rotations = _numbers(path, columns, _MATRIX).reshape(count, 3, 3)
        nearest = project_to_rotation(rotations)
        # Six printed digits leave an error near 1e-6; a reflection or a scaled matrix is far beyond 1e-2.
        off = (rotations - nearest).abs().amax((1, 2)) > 1e-2
        if off.any():
            name = columns["volume"][int(off.nonzero()[0])]
            raise InputError(f"{path}: particle {name}: expected a rotation matrix in R00 .. R22, got something else")
        rotations = nearest
    elif any(name in columns for name in _ANGLES):
        rotations = zyz_to_matrix(torch.deg2rad(_numbers(path, columns, _ANGLES)))
    for names in (_SHIFTS, _SHORT_SHIFTS):
        if any(name in columns for name in names):
            return rotations, _numbers(path, columns, names)
    return rotations, None
