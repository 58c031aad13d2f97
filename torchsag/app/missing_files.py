"""Files that a configuration names and that are not there, found before anything heavy is loaded."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from typing import Any

from torchsag.errors import InputError

# Keys of torchsag's own components whose value is something to read.
_READ = frozenset({
    "particles", "positions", "tomogram", "reference", "truth", "truth_map", "path", "in", "folder", "half1", "half2",
    "map", "new_volumes", "judge", "sheets",
})  # fmt: skip


def check_files(config: dict[str, Any]) -> None:
    """Refuse a configuration that reads from nowhere; what the files hold is seen later.

    Raises
    ------
    InputError
        Naming the key and the file.
    """
    for key, name in _named(config, ""):
        if os.path.exists(name) or glob.glob(name):
            continue
        if any(sign in name for sign in "*?["):
            raise InputError(f"{key}: expected at least one volume, got none that fits {name!r}; check the pattern")
        raise InputError(f"{key}: expected a file or folder, got {name}: no such file or folder; check the path")


def _named(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(node, dict):
        return
    own = str(node.get("_target_", "")).startswith("torchsag.")
    for key, value in node.items():
        where = f"{path}.{key}" if path else str(key)
        if own and key in _READ and isinstance(value, (str, list)):
            yield from ((where, name) for name in ([value] if isinstance(value, str) else value))
        else:
            yield from _named(value, where)
