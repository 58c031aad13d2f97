"""What of hydra itself a yaml may set: hydra makes launchers, sweepers, callbacks and loggers of what it is told."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from torchsag.app.targets import locate
from torchsag.errors import InputError

_HOMES = ("hydra._internal.", "hydra_plugins.")
_PLUGINS = ("hydra.launcher._target_", "hydra.sweeper._target_")
_SAMPLER = re.compile(r"optuna\.samplers\.[A-Z][A-Za-z]*Sampler", re.ASCII)
_CALLBACKS = "hydra.callbacks"
_DIRECTIVES = ("_args_", "_partial_", "_recursive_", "_convert_", "_mode_")


def refuse_foreign_machinery(
    config: DictConfig, typed: Collection[str], allowed: tuple[str, ...] = (), callbacks_only: bool = False
) -> None:
    """Refuse a run whose settings of hydra would run something else than hydra's own launchers and sweepers.

    Parameters
    ----------
    config
        The whole configuration of the sweep.
    typed
        Keys that the user set on the command line, and may set as they like.
    allowed
        Packages that the user named: their callbacks may be chosen by a yaml, too.
    callbacks_only
        A single run makes nothing else of what hydra is told.

    Raises
    ------
    InputError
        If a callback of another package is set, a launcher or sweeper is of another home, a logger is made of a class
        or function, shell commands are to be run, or a sweep over settings of hydra itself is asked for, and not by the
        user.
    """
    settings: Any = OmegaConf.to_container(config.hydra, resolve=False)
    for where, key, value in _leaves(settings, "hydra"):
        if any(where == own or where.startswith(f"{own}.") for own in typed):
            continue
        if callbacks_only and not where.startswith(_CALLBACKS):
            continue
        if where.startswith(f"{_CALLBACKS}."):
            _check_callback(where, key, value, allowed)
        if problem := _problem(where, key, value):
            raise InputError(f"{where}: expected {problem} in a yaml, got {value!r}; give it on the command line")


def _check_callback(where: str, key: str, value: Any, allowed: tuple[str, ...]) -> None:
    """hydra makes a callback of whatever class or function is named."""
    granted = key not in _DIRECTIVES and (key != "_target_" or str(value).partition(".")[0] in allowed)
    if not granted:
        raise InputError(
            f"{where}: expected a callback of a package named with allow=[package], or given on the command line, "
            f"got {value!r} in a yaml"
        )
    if key == "_target_":
        locate(where, value, allowed)


def _problem(where: str, key: str, value: Any) -> str:
    if key == "_target_" and not where.startswith(f"{_CALLBACKS}.") and not _is_plugin(where, str(value)):
        return "hydra's own launchers and sweepers"
    if key == "()" or (key == "class" and not str(value).startswith("logging.")):
        return "plain loggers"
    if key == "setup" and value:
        return "no shell commands"
    if where.startswith("hydra.sweeper.params.") and key.lstrip("+~").startswith("hydra"):
        return "no sweep over hydra's own settings"
    return ""


def _is_plugin(where: str, target: str) -> bool:
    """hydra itself makes sure that a launcher or sweeper is a plugin's class; what is nested it makes of any name."""
    if where == "hydra.sweeper.sampler._target_":
        return _SAMPLER.fullmatch(target) is not None
    return where in _PLUGINS and target.startswith(_HOMES)


def _leaves(node: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{path}.{key}", str(key), value
            yield from _leaves(value, f"{path}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, f"{path}[{index}]")
