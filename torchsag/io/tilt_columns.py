"""Tilt ranges and schemes as columns of a RELION table: min, max, axis, and for schemes a block of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from torchsag.errors import InputError
from torchsag.imaging.ctf import Microscope
from torchsag.io.plausible import numbers
from torchsag.io.star import Block, Loop
from torchsag.particles import Tilt, TiltRange, TiltScheme

TILTS = ("torchsagTiltMinDeg", "torchsagTiltMaxDeg")
AXIS = "torchsagTiltAxisDeg"
SCHEME = "torchsagTiltScheme"
SCHEMES_BLOCK = "torchsag_tilts"
_UNDERFOCUS, _EXPOSURE = "torchsagUnderfocusUm", "torchsagExposure"
_MICROSCOPE = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
_UNSET = ("", "None", "none", "<NA>")

Geometry = TiltRange | TiltScheme | None


def set_tilt_geometry(table: dict[str, list[str]], geometry: Sequence[object], blocks: dict[str, Block]) -> None:
    """Write what particles' tilts were into a table, and schemes into a block of `blocks`, if there are any.

    What is neither a range nor a scheme, such as a weight volume, is left out.
    """
    ranges = [one if isinstance(one, TiltRange) else None for one in geometry]
    if any(ranges):
        table[TILTS[0]] = ["None" if r is None else f"{r.tilt_min_deg:g}" for r in ranges]
        table[TILTS[1]] = ["None" if r is None else f"{r.tilt_max_deg:g}" for r in ranges]
        if any(r is not None and r.axis_deg for r in ranges):
            table[AXIS] = ["None" if r is None else f"{r.axis_deg:g}" for r in ranges]
    schemes = [one if isinstance(one, TiltScheme) else None for one in geometry]
    if any(schemes):
        names = {scheme: str(k) for k, scheme in enumerate(dict.fromkeys(filter(None, schemes)), start=1)}
        table[SCHEME] = ["None" if scheme is None else names[scheme] for scheme in schemes]
        rows = [row for scheme, name in names.items() for row in _rows(name, scheme)]
        columns = (SCHEME, AXIS, *TILTS, _UNDERFOCUS, _EXPOSURE, *_MICROSCOPE)
        blocks[SCHEMES_BLOCK] = Loop(
            {c: list(values) for c, values in zip(columns, zip(*rows, strict=True), strict=True)}
        )


def _rows(name: str, scheme: TiltScheme) -> list[tuple[str, ...]]:
    scope = scheme.microscope
    of_scope = [f"{v:g}" for v in (scope.voltage_kv, scope.spherical_aberration_mm, scope.amplitude_contrast)]
    parts = [(r.axis_deg, r.tilt_min_deg, r.tilt_max_deg, None, None) for r in scheme.ranges]
    parts += [(t.axis_deg, t.angle_deg, t.angle_deg, t.underfocus_um, t.exposure) for t in scheme.tilts]
    return [(name, *("None" if v is None else f"{v:.9g}" for v in part), *of_scope) for part in parts]


def read_tilt_geometry(path: Path, blocks: dict[str, Block], table: Loop) -> list[Geometry] | None:
    """What a table says about the tilts of its particles; None where it has no such columns.

    Raises
    ------
    InputError
        For values that are no angles, and schemes that the file does not hold.
    """
    if not all(name in table.columns for name in TILTS) and SCHEME not in table.columns:
        return None
    found: list[Geometry] = [None] * len(table)
    if all(name in table.columns for name in TILTS):
        found = tilt_ranges(path, table)
    if SCHEME in table.columns:
        schemes = _schemes(path, blocks)
        for row, name in enumerate(table.columns[SCHEME]):
            if name not in _UNSET:
                if name not in schemes:
                    raise InputError(f"{path}: entry {row + 1}: {SCHEME} {name!r} is not in data_{SCHEMES_BLOCK}")
                found[row] = schemes[name]
    return found


def tilt_ranges(path: Path, table: Loop) -> list[Geometry]:
    """The tilt range of each row, None where it is unset.

    Raises
    ------
    InputError
        For the first row whose angles are none.
    """
    texts = [["0" if text in _UNSET else text for text in table.columns[name]] for name in TILTS]
    low, high = (numbers(path, column, name).tolist() for column, name in zip(texts, TILTS, strict=True))
    axes = [0.0] * len(table)
    if AXIS in table.columns:
        axes = numbers(path, ["0" if text in _UNSET else text for text in table.columns[AXIS]], AXIS).tolist()
    ranges: list[Geometry] = []
    for row, angles in enumerate(zip(low, high, axes, strict=True)):
        try:
            ranges.append(None if table.columns[TILTS[0]][row] in _UNSET else TiltRange(*angles))
        except InputError as error:
            raise InputError(f"{path}: entry {row + 1}: {error}") from None
    return ranges


def _schemes(path: Path, blocks: dict[str, Block]) -> dict[str, TiltScheme]:
    table = blocks.get(SCHEMES_BLOCK)
    columns = (AXIS, *TILTS, _UNDERFOCUS, _EXPOSURE, *_MICROSCOPE)
    if not isinstance(table, Loop) or any(name not in table.columns for name in (SCHEME, *columns)):
        raise InputError(f"{path}: expected a block data_{SCHEMES_BLOCK} with {', '.join(columns)}")
    values = [
        numbers(path, ["1e300" if text in _UNSET else text for text in table.columns[name]], name).tolist()
        for name in columns
    ]
    parts: dict[str, list[tuple[float, ...]]] = {}
    for name, row in zip(table.columns[SCHEME], zip(*values, strict=True), strict=True):
        parts.setdefault(name, []).append(row)
    return {name: _scheme(path, rows) for name, rows in parts.items()}


def _scheme(path: Path, rows: list[tuple[float, ...]]) -> TiltScheme:
    def known(value: float) -> float | None:
        return value if value < math.inf and value != 1e300 else None

    try:
        return TiltScheme(
            tuple(TiltRange(low, high, axis) for axis, low, high, *_ in rows if low < high),
            tuple(
                Tilt(low, axis, known(underfocus), known(exposure))
                for axis, low, high, underfocus, exposure, *_ in rows
                if low == high
            ),
            Microscope(*rows[0][5:]),
        )
    except InputError as error:
        raise InputError(f"{path}: data_{SCHEMES_BLOCK}: {error}") from None
