"""How much a yaml may ask for before it is believed: files of a few kilobytes can stand for terabytes.

An alias repeats what an anchor names, an interpolation what a key holds, and both can be nested. Aliases are refused,
the length of what interpolations stand for is added up before they are filled in.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from omegaconf import OmegaConf

from torchsag.errors import InputError

LARGEST_FILE = 1 << 20  # characters; the largest yaml of torchsag has four thousand
LARGEST_CONFIGURATION = 1 << 20  # characters, with every interpolation filled in
_INTERPOLATION = re.compile(r"\$\{([^${}]*)\}")


@contextmanager
def bounded_yaml() -> Iterator[None]:
    """While it lasts, hydra reads files within the limits only.

    Raises
    ------
    InputError
        For a file that is too large, holds aliases, or cannot be read as yaml.
    """
    load = OmegaConf.load

    def checked(file_: Any) -> Any:
        name = getattr(file_, "name", "yaml")
        try:
            return load(io.StringIO(limited_text(name, file_)))
        except (InputError, UnicodeDecodeError):
            raise
        except (yaml.YAMLError, RecursionError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:200] or "nested too deeply"
            raise InputError(f"{name}: cannot be read as yaml ({reason})") from error

    OmegaConf.load = checked
    try:
        yield
    except UnicodeDecodeError as error:  # of a file's first lines, which hydra reads by itself
        raise InputError(
            "hydra.searchpath: expected yaml files in UTF-8, got other bytes; save the component's yaml again"
        ) from error
    finally:
        OmegaConf.load = load


def limited_text(name: str, file: Any) -> str:
    """The text of an open file, if it is a yaml within the limits; else InputError."""
    text = file.read(LARGEST_FILE + 1)
    if len(text) > LARGEST_FILE:
        raise InputError(f"{name}: expected a yaml of at most {LARGEST_FILE} characters, got a longer one")
    # Most files hold no asterisk at all, and need not be taken apart twice.
    if "*" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
        raise InputError(f"{name}: expected no aliases (*name); write the values out, or refer to them by ${{key}}")
    return text


def require_bounded(config: Any) -> None:
    """Refuse a configuration that would fill the memory once its interpolations are filled in.

    Parameters
    ----------
    config
        Plain containers, interpolations as they stand.

    Raises
    ------
    InputError
        If it would.
    """
    nodes: dict[str, Any] = {}
    _collect(config, "", nodes)
    by_end: dict[str, list[str]] = {}
    for path in nodes:
        by_end.setdefault(path.rpartition(".")[2], []).append(path)
    known: dict[str, int] = {}

    def size(path: str, above: frozenset[str]) -> int:
        if path in above:  # a circle, which omegaconf refuses by itself
            return 1
        if path not in known:
            known[path] = min(of(nodes[path], path, above | {path}), LARGEST_CONFIGURATION + 1)
        return known[path]

    def of(node: Any, path: str, above: frozenset[str]) -> int:
        if isinstance(node, dict):
            return sum(size(f"{path}.{key}" if path else str(key), above) for key in node)
        if isinstance(node, list):
            return sum(size(f"{path}.{index}", above) for index in range(len(node)))
        text = str(node)
        referred = (by_end.get(_last(name), []) for name in _INTERPOLATION.findall(text))
        # Which key is meant depends on where it stands: the largest of that name is an upper limit.
        return len(text) + 1 + sum(max((size(end, above) for end in ends), default=0) for ends in referred)

    if size("", frozenset()) > LARGEST_CONFIGURATION:
        raise InputError(
            f"configuration: expected at most {LARGEST_CONFIGURATION} characters with its interpolations filled in, "
            "got more; look for ${...} that repeat each other"
        )


def _last(reference: str) -> str:
    """The last key of a reference, such as ``c`` of ``a.b.c``, ``..c`` and ``a[c]``."""
    return re.split(r"[.\[\]:]", reference.strip().rstrip("]"))[-1]


def _collect(node: Any, path: str, nodes: dict[str, Any]) -> None:
    nodes[path] = node
    pairs: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        _collect(value, f"{path}.{key}" if path else str(key), nodes)
