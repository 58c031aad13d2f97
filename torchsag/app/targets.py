"""Which classes a yaml may name: a yaml is data, and naming something must not be a way to run it.

A ``_target_`` is a *component class*:

- one that a yaml in torchsag's own ``conf/`` names. Nothing else below torchsag is accepted: no function, no method, no
  class that merely happens to be importable, nothing of `torchsag.app`; and a command (such as `Simulate`) only as the
  command that the user typed, or where a field is annotated with exactly that class;
- an optimizer class of ``torch.optim``;
- a class defined in a package that the *user* named with ``allow=[package]`` on the command line.

The name is held against these rules before anything is imported, and what was found again afterwards.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from functools import cache
from typing import Any

from torchsag.app.catalogue import command_names, conf_folder
from torchsag.app.suggest import did_you_mean
from torchsag.errors import InputError

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_TARGET = re.compile(r"^\s*_target_: *(torchsag\.[\w.]+)\s*$", re.MULTILINE)
_OPTIMIZERS = "torch.optim."


@cache
def component_names() -> frozenset[str]:
    """Every class of torchsag that one of its own yaml files names."""
    texts = [path.read_text(encoding="utf-8") for path in conf_folder().rglob("*.yaml")]
    return frozenset(name for text in texts for name in _TARGET.findall(text))


@cache
def command_targets() -> frozenset[str]:
    """The classes of the commands: building one is nothing, calling one runs it."""
    texts = [(conf_folder() / f"{name}.yaml").read_text(encoding="utf-8") for name in command_names()]
    return frozenset(name for text in texts for name in re.findall(r"^_target_: *(\S+)", text, re.MULTILINE))


def locate(label: str, target: Any, allowed: tuple[str, ...]) -> type:
    """The class behind a target.

    Parameters
    ----------
    label
        The key it stands under, for messages.
    target
        Its dotted name.
    allowed
        Packages that the user named.

    Raises
    ------
    InputError
        If no component class may be named so.
    """
    name = str(target)
    head = name.partition(".")[0]
    granted = () if head in ("torchsag", "torch") else allowed
    if not _NAME.fullmatch(name) or not (_ships(name) or _inside(name, granted)):
        raise InputError(
            f"{label}: expected one of torchsag's components, an optimizer of torch.optim"
            + "".join(f", a class of {package}" for package in granted)
            + f"; got {name!r}{_advice(name, head)}"
        )
    found = _imported(label, name)
    if not inspect.isclass(found):
        raise InputError(f"{label}: expected a class, got {name!r}, which is none; functions are not components")
    home = found.__module__
    if head == "torch" and not _is_optimizer(found):
        raise InputError(f"{label}: expected an optimizer of torch.optim, got {name!r}")
    if head not in ("torchsag", "torch") and not _inside(f"{home}.", granted):
        raise InputError(
            f"{label}: expected a class defined in {' or '.join(granted)}, got {name!r}, which is defined in {home}"
        )
    return found


def require_own_command(command: str, target: Any) -> None:
    """The class that runs is the typed command's, whatever a yaml says.

    Raises
    ------
    InputError
        If it is another.
    """
    text = (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8")
    own = re.findall(r"^_target_: *(\S+)", text, re.MULTILINE)
    if [target] != own:
        raise InputError(f"_target_: expected the command {command}, {own[0]!r}, got {target!r} from a yaml")


def import_allowed(node: Any, allowed: tuple[str, ...]) -> None:
    """Import the packages of the user's own that a configuration takes components from, so that their code is known."""
    if os.getcwd() not in sys.path and allowed:
        sys.path.append(os.getcwd())
    for package in allowed:
        if f"{package}." in repr(node) and _exists(package):
            _imported("allow", package)


def _inside(name: str, packages: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)


def _ships(name: str) -> bool:
    return name in component_names() or name.startswith(_OPTIMIZERS)


def _advice(name: str, head: str) -> str:
    """Only what would help: `allow` opens packages of the user's own, not Python's, torch's or torchsag's."""
    if head in ("torchsag", "torch") or head in sys.stdlib_module_names or not _NAME.fullmatch(name):
        return ""
    return f"; if it is a class of a package that you trust, add allow=[{head}]"


def _imported(label: str, name: str) -> Any:
    """Import the longest module that there is of a dotted name, and take the rest as attributes."""
    parts = name.split(".")
    found, taken = importlib.import_module(parts[0]) if _exists(parts[0]) else None, 1
    try:
        if found is None:
            raise ImportError(f"No module named {parts[0]!r}")
        for taken, part in enumerate(parts[1:], start=2):
            if inspect.ismodule(found) and not hasattr(found, part):
                if not hasattr(found, "__path__"):
                    known = [word for word in vars(found) if not word.startswith("_")]
                    raise ImportError(f"{found.__name__} has no {part!r}{did_you_mean(part, known)}")
                importlib.import_module(".".join(parts[:taken]))
            found = getattr(found, part)
    except Exception as error:  # a user's module may fail in any way while it is imported
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{label}: cannot import {name!r}: {first}") from error
    return found


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _is_optimizer(found: type) -> bool:
    import torch

    return issubclass(found, torch.optim.Optimizer) and found.__module__.startswith("torch.optim")
