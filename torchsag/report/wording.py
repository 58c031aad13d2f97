"""Numbers with as many digits as they are worth, and words in place of the keys of ``metrics.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_UNITS = (
    ("_angstrom2", "Å²"),
    ("_angstrom", "Å"),
    ("_deg", "°"),
    ("_voxels", "voxels"),
    ("_cpu_seconds", "CPU seconds"),
    ("_seconds", "seconds"),
)
_WORDS = {
    "particle_list": "particles from",
    "voxel_size": "voxel size",
    "resolution_0.143": "resolution, FSC 0.143, corrected for the mask",
    "resolution_0.5": "resolution, FSC 0.5, corrected for the mask",
    "resolution_0.143_unmasked": "resolution, FSC 0.143, without a mask",
    "median_local_resolution": "local resolution, median inside the mask",
    "median_rotation_error": "rotation error, median",
    "median_shift_error": "shift error, median",
    "median_rotation_sigma": "expected rotation error, median",
    "median_shift_sigma": "expected shift error, median",
    "median_score": "correlation, median",
    "median": "time per particle, median",  # in CPU seconds, which are its unit
    "median_shift": "shift, median",
    "within_10": "particles within 10° of the truth",
    "best_iteration": "iteration that was kept",
    "b_factor": "B-factor",
    "wall": "duration",
}


def digits(value: float) -> str:
    """Three significant digits, without an exponent where a reader can do without."""
    if not math.isfinite(value):
        return "none"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude < 6:
        return f"{value:.2e}"
    return f"{value:.{max(0, 2 - magnitude)}f}"


def worded_list(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def measured(value: float | int | None, unit: str) -> str:
    """A number with its unit, or that there is none."""
    if value is None:
        return "none"
    space = "" if unit == "°" else " "
    return f"{value if isinstance(value, int) else digits(value)}{space}{unit}".strip()


def worded_heading(name: str) -> str:
    """What a key of a number says, with its unit, over a column of such numbers."""
    label, unit = _label(name)
    return f"{label} ({unit})" if unit else label


def worded(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The entries of `table` as pairs of words; the unit moves from the key to the value."""
    return [_pair(name, value) for name, value in table.items()]


def _pair(name: str, value: Any) -> tuple[str, str]:
    if name == "within_10_deg":
        return _WORDS["within_10"], str(value)
    label, unit = _label(name)
    if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
        return label, {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return label, measured(value, unit)


def _label(name: str) -> tuple[str, str]:
    """A key in words, and the unit of its values."""
    if name == "within_10_deg":
        return _WORDS["within_10"], ""
    stem, unit = next(((name.removesuffix(end), unit) for end, unit in _UNITS if name.endswith(end)), (name, ""))
    return _WORDS.get(stem, stem.replace("_", " ")), unit
