"""``structure=model.pdb``: a file in place of a component's name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from torchsag.errors import InputError

# What these components read, said here so that no command has to load them to understand its words.
_COMPONENTS = {
    "atoms": (".pdb", ".ent", ".cif", ".mmcif"),
    "map": (".mrc", ".mrcs", ".map", ".ccp4", ".rec", ".em"),
}


def expand_structure_files(words: Sequence[str]) -> list[str]:
    """Replace each ``structure=FILE`` by the component that reads such files and its path.

    Raises
    ------
    InputError
        If it looks like a file of a kind that no component reads.
    """
    expanded: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        component = component_for(value.strip("'\"")) if key.partition("@")[0].lstrip("+") == "structure" else None
        if component is None and key == "structure" and "/" in value:
            known = ", ".join(suffix for suffixes in _COMPONENTS.values() for suffix in suffixes)
            raise InputError(f"structure: expected a file ending in one of {known} (or with .gz), got {value!r}")
        if component is None:
            expanded.append(word)
            continue
        package = key.partition("@")[2] or "structure"
        path = value.strip("'\"").replace("\\", "\\\\").replace("'", "\\'")
        expanded += [f"{key}={component}", f"{package}.path='{path}'"]
    return expanded


def component_for(value: str) -> str | None:
    """The component that reads a file of this name; None if none does."""
    path = PurePath(value)
    suffix = PurePath(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    return next((name for name, suffixes in _COMPONENTS.items() if suffix.lower() in suffixes), None)
