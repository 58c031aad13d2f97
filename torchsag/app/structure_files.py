"""``structure=model.pdb``, ``mask=mask.mrc``: a file in place of a component's name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from torchsag.errors import InputError

_MAPS = (".mrc", ".mrcs", ".map", ".ccp4", ".rec", ".em")
# What these components read, said here so that no command has to load them to understand its words.
_COMPONENTS = {
    "structure": {"atoms": (".pdb", ".ent", ".cif", ".mmcif"), "map": _MAPS},
    "mask": {"file": _MAPS},
}


def expand_structure_files(words: Sequence[str]) -> list[str]:
    """Replace each ``structure=FILE`` and ``mask=FILE`` by the component that reads such files and its path.

    ``focus=FILE`` stands for ``mask@focus=FILE``.

    Raises
    ------
    InputError
        If it looks like a file of a kind that no component reads.
    """
    expanded: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        key = "mask@focus" if key == "focus" and component_for(value.strip("'\""), "mask") else key
        group, _, package = key.lstrip("+").partition("@")
        known = _COMPONENTS.get(group, {})
        component = component_for(value.strip("'\""), group)
        if component is None and known and key == group and "/" in value:
            endings = ", ".join(suffix for suffixes in known.values() for suffix in suffixes)
            raise InputError(f"{group}: expected a file ending in one of {endings} (or with .gz), got {value!r}")
        if component is None:
            expanded.append(word)
            continue
        path = value.strip("'\"").replace("\\", "\\\\").replace("'", "\\'")
        expanded += [f"{key}={component}", f"{package or group}.path='{path}'"]
    return expanded


def component_for(value: str, group: str = "structure") -> str | None:
    """The component of a group that reads a file of this name; None if none does."""
    path = PurePath(value)
    suffix = PurePath(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    known = _COMPONENTS.get(group, {})
    return next((name for name, suffixes in known.items() if suffix.lower() in suffixes), None)
