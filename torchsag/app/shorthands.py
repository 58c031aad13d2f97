"""``snr=0.01`` in place of ``trials.snr=0.01``: the words that `simulate` has taught."""

from __future__ import annotations

from collections.abc import Sequence

_SHORTHANDS = {
    "compare": {
        **{key: f"trials.{key}" for key in ("snr", "n", "tilt_deg", "box", "voxel_size_angstrom", "max_shift_voxels")},
        "structure": "structure@trials.structure",
        "particles": "trials.particles",
        "reference": "trials.reference",
    }
}


def expand_shorthands(command: str, words: Sequence[str]) -> list[str]:
    """Write short keys of a command in full."""
    known = _SHORTHANDS.get(command, {})
    expanded = []
    for word in words:
        key, equals, value = word.partition("=")
        expanded.append(f"{known.get(key, key)}{equals}{value}")
    return expanded
