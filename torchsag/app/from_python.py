"""Commands and components for callers in Python, with the defaults, names and checks of the command line."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf

from torchsag.app.catalogue import choices, command_keys
from torchsag.app.components import build
from torchsag.app.composition import component_words, compose_command, hydra_ready
from torchsag.app.suggest import did_you_mean
from torchsag.errors import InputError

# Keys of the process and the command line, which a caller in Python settles otherwise.
_NOT_HERE = frozenset({"allow", "threads"})


def component(group: str, name: str) -> Any:
    """The component of a group that goes by this name, with its defaults.

    Raises
    ------
    InputError
        If there is none.
    """
    known = choices(group)
    if name not in known:
        raise InputError(
            f"{group}: expected one of {', '.join(known)} or an object, got {name!r}{did_you_mean(name, known)}"
        )
    with hydra_ready():
        try:
            config = compose(config_name=f"{group}/{name}")
        except HydraException as error:
            raise InputError(f"{group}: {name} cannot be composed: {str(error).splitlines()[0]}") from error
    for key in group.split("/"):
        config = config[key]
    nested = OmegaConf.create({group: OmegaConf.to_container(config, resolve=False)})
    plain = OmegaConf.to_container(nested, resolve=True)
    assert isinstance(plain, dict)
    return build(plain[group])


def workflow(command: str, needed: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
    """The object behind a command.

    Parameters
    ----------
    command
        Its name.
    needed
        Values of keys without a default, such as ``particles`` and ``out``.
    settings
        Other keys: numbers and texts; where the command takes a component, its name or an object.

    Raises
    ------
    InputError
        Naming the key that cannot be used.
    """
    places = component_words(command)
    _check_known(command, settings, places)
    words = [f"{key}=given" for key in needed]
    chosen: dict[str, Any] = {}
    for key, value in settings.items():
        if key in places and isinstance(value, str):
            words.append(f"{places[key]}={value}")
        elif key in places:
            chosen[key] = value
    config = compose_command(command, words)
    config |= dict(needed)
    config |= {key: value for key, value in settings.items() if key not in places}
    made = build(config, (), command_keys(command))
    hints = typing.get_type_hints(type(made))
    for key, value in chosen.items():
        _check_object(key, value, hints[key], choices(places[key].partition("@")[0]))
    return dataclasses.replace(made, **chosen)


def _check_known(command: str, settings: Mapping[str, Any], places: Mapping[str, str]) -> None:
    known = sorted({*command_keys(command), *places} - _NOT_HERE)
    for key in settings:
        if key not in known:
            hint = did_you_mean(key, known) or f"; `torchsag {command} --help` explains them"
            raise InputError(f"{key}: expected a setting of {command}, got a word it does not know{hint}")


def _check_object(key: str, value: Any, hint: Any, names: list[str]) -> None:
    members = typing.get_args(hint) or (hint,)
    if not isinstance(value, members):
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in members)
        by_name = f", or one of the names {', '.join(names)}" if names else ""
        raise InputError(f"{key}: expected {wanted}{by_name}, got {type(value).__name__}")
