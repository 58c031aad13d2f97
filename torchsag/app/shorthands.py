"""``snr=0.01`` in place of ``trials.snr=0.01``: the words that `simulate` has taught."""

from __future__ import annotations

from collections.abc import Sequence

_SHORTHANDS = {
    "compare": {
        **{key: f"trials.{key}" for key in ("snr", "n", "tilt_deg", "box", "voxel_size_angstrom", "max_shift_voxels")},
        "structure": "structure@trials.structure",
        "particles": "trials.particles",
        "skip_bad": "trials.skip_bad",
        "reference": "trials.reference",
        "mirror": "trials.mirror",
    }
}


# Keys whose value is a text of its own grammar, whatever hydra's would make of it.
_TEXTS = {"select": {"where"}}


def shorthands(command: str) -> list[str]:
    """The short keys of a command."""
    return list(_SHORTHANDS.get(command, ()))


def expand_shorthands(command: str, words: Sequence[str]) -> list[str]:
    """Write short keys of a command in full, and quote texts."""
    known = _SHORTHANDS.get(command, {})
    expanded = []
    for word in words:
        key, equals, value = word.partition("=")
        if key in _TEXTS.get(command, ()) and value not in ("", "null"):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            value = f'"{escaped}"'
        expanded.append(f"{known.get(key, key)}{equals}{value}")
    return expanded
