"""The flags of any hydra program that torchsag takes beside its ``key=value`` words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torchsag.errors import InputError

_WITHOUT_VALUE = {"-m": "several", "--multirun": "several", "-r": "once", "--run": "once", "--resolve": "resolve"}
_WITH_VALUE = {
    "-c": "cfg", "--cfg": "cfg", "-p": "package", "--package": "package", "-cd": "config_dir",
    "--config-dir": "config_dir",
}  # fmt: skip
_INFO = ("-i", "--info")
_PARTS = ("job", "hydra", "all")
_KINDS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_ELSEWHERE = {
    "--config-name": "the command is the name of its configuration",
    "-cn": "the command is the name of its configuration",
    "--config-path": "torchsag's own yaml files are always read; --config-dir adds yours",
    "-cp": "torchsag's own yaml files are always read; --config-dir adds yours",
}


@dataclass(frozen=True)
class Flags:
    """What the flags of a command line ask for.

    Attributes
    ----------
    words
        Everything that is no flag.
    several
        ``-m``, ``--multirun``: one run for each combination of values.
    cfg
        ``--cfg job|hydra|all``: show this part of the configuration instead of running; empty runs.
    package
        ``--package KEY``: only what is below this key.
    resolve
        ``--resolve``: with interpolations filled in.
    info
        ``--info [KIND]``: show where the configuration comes from instead of running; empty runs.
    config_dir
        ``--config-dir DIR``: a folder of yaml files beside torchsag's own.
    """

    words: tuple[str, ...] = ()
    several: bool = False
    cfg: str = ""
    package: str | None = None
    resolve: bool = False
    info: str = ""
    config_dir: str | None = None


@dataclass
class _Found:
    words: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    set: dict[str, bool] = field(default_factory=dict)


def read_flags(arguments: Sequence[str]) -> Flags:
    """Divide the words behind a command.

    Raises
    ------
    InputError
        If a flag lacks its value, or the value is none that it takes.
    """
    found, left = _Found(), list(arguments)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if name in _ELSEWHERE:
            raise InputError(f"{name}: expected none of this flag, as {_ELSEWHERE[name]}")
        if name in _WITHOUT_VALUE and not equals:
            found.set[_WITHOUT_VALUE[name]] = True
        elif name in _WITH_VALUE:
            if not equals:
                if not left:
                    raise InputError(f"{name}: expected a value behind it, got none")
                value = left.pop(0)
            found.values[_WITH_VALUE[name]] = value
        elif name in _INFO:
            follows = bool(left) and left[0] in _KINDS
            found.values["info"] = value if equals else left.pop(0) if follows else "all"
        else:
            found.words.append(name + equals + value)
    return _checked(found)


def _checked(found: _Found) -> Flags:
    cfg, info, folder = (found.values.get(name) for name in ("cfg", "info", "config_dir"))
    if cfg is not None and cfg not in _PARTS:
        raise InputError(f"--cfg: expected one of {', '.join(_PARTS)}, got {cfg!r}")
    if info is not None and info not in _KINDS:
        raise InputError(f"--info: expected one of {', '.join(_KINDS)}, got {info!r}")
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"--config-dir: expected a folder of yaml files, got {folder}: no such folder")
    package, resolve = found.values.get("package"), "resolve" in found.set
    if (package is not None or resolve) and cfg is None:
        raise InputError("--package and --resolve: expected --cfg with them, got none; they say what --cfg shows")
    several = "several" in found.set and "once" not in found.set
    return Flags(tuple(found.words), several, cfg or "", package, resolve, info or "", folder)


def with_config_dir(words: Sequence[str], folder: str | None) -> list[str]:
    """Add a folder to hydra's search path, behind those that a word names already."""
    if folder is None:
        return list(words)
    added, key = f"file://{Path(folder).resolve()}", "hydra.searchpath="
    earlier = [word[len(key) :].strip("[] ") for word in words if word.startswith(key)]
    listed = ",".join([*filter(None, earlier), f"'{added}'"])
    return [*(word for word in words if not word.startswith(key)), f"{key}[{listed}]"]
