"""From a command and its ``key=value`` words to one resolved configuration, or one sentence about what is wrong."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from torchsag.app.catalogue import conf_folder
from torchsag.app.suggest import did_you_mean
from torchsag.app.targets import locate
from torchsag.app.yaml_limits import bounded_yaml, require_bounded
from torchsag.errors import InputError

# Groups whose components come from packages of their own, and the extras that bring these.
_PLUGINS = {"hydra/launcher": "launchers", "hydra/sweeper": "optuna"}
_NOTHING = ("none", "no", "off", "false", "nothing")


@contextmanager
def hydra_ready() -> Iterator[None]:
    """Hydra with torchsag's own yaml files; ``hydra.searchpath=[folder]`` on the command line adds the user's."""
    with initialize_config_dir(config_dir=str(conf_folder()), version_base="1.3", job_name="torchsag"), bounded_yaml():
        yield


def parse(overrides: Sequence[str]) -> list[Override]:
    """Read ``key=value`` words by hydra's grammar."""
    parsed = []
    for word in overrides:
        try:
            parsed += OverridesParser.create().parse_overrides([word])
        except HydraException as error:
            raise InputError(
                f"cannot read {word!r}: put values with spaces, commas or brackets in quotes, as in 'key=\"a, b\"'"
            ) from error
    for override in parsed:
        if override.value() is None and (conf_folder() / override.key_or_group).is_dir() and not override.is_delete():
            raise InputError(f"{override.input_line}: to leave a component out write ~{override.key_or_group}")
    return parsed


def allowed_modules(overrides: Sequence[Override]) -> tuple[str, ...]:
    """The packages named by ``allow=[...]`` on the command line; a yaml file cannot grant this to itself."""
    granted: list[str] = []
    for override in overrides:
        if override.key_or_group == "allow":
            value = override.value()
            granted = [str(name) for name in (value if isinstance(value, list) else [value])]
    return tuple(granted)


def compose_command(command: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The resolved configuration of one run."""
    return without_hydra(command, compose_whole(command, overrides))


def compose_whole(command: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration of one run, not resolved yet, with hydra's own part."""
    parsed = parse(overrides)
    refuse_several_values(parsed)
    with hydra_ready():
        try:
            return compose(config_name=command, overrides=list(overrides), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(command, parsed, error)) from error


def without_hydra(command: str, config: DictConfig) -> dict[str, Any]:
    """Resolve what `compose_whole` gave."""
    config = copy.copy(config)
    choices = config.hydra.runtime.choices
    with open_dict(config):
        config.pop("hydra")
    return resolve(command, config, choices)


def refuse_several_values(overrides: Sequence[Override]) -> None:
    """One run takes one value of each key.

    Raises
    ------
    InputError
        If a word lists several.
    """
    for override in overrides:
        if override.is_sweep_override():
            raise InputError(
                f"{override.input_line!r} lists several values: add -m for one run per value, or quote the value"
            )


def component_words(command: str) -> dict[str, str]:
    """Where a command takes a component by name: its key, and how the command line writes that choice.

    For example ``local_method`` -> ``method@local_method``.
    """
    text = (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- (?:override )?/?([\w/]+)(?:@([\w.]+))?: *\S+", text, flags=re.MULTILINE)
    return {package or group: f"{group}@{package}" if package else group for group, package in listed}


def resolve(command: str, config: DictConfig, choices: Mapping[str, str | None]) -> dict[str, Any]:
    """Plain containers with every interpolation filled in; names the required keys that are missing.

    `choices` says which component was taken for each group.
    """
    raw = OmegaConf.to_container(config, resolve=False)
    require_bounded(raw)
    missing = sorted(key for key, value in _flatten(raw) if value == "???")
    if missing:
        keys = " ".join(f"{key}=..." for key in missing)
        raise InputError(f"{command} needs {keys}; `torchsag {command} --help` explains the keys")
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"configuration: {_first_line(error)}") from error
    assert isinstance(plain, dict)
    return _alone({str(key): value for key, value in plain.items()}, choices)


def _alone(config: dict[str, Any], choices: Mapping[str, str | None]) -> dict[str, Any]:
    """``method=sag`` given to a command that compares several methods: that one alone, under its own name."""
    if "methods" in config and choices.get("method"):
        config["methods"] = {choices["method"]: config.pop("method")}
    return config


def explain(command: str, overrides: Sequence[Override], error: Exception) -> str:
    """One sentence about a configuration that hydra refused."""
    message = str(error)
    if plugin := re.search(r"Could not (?:load|find) '(hydra/(?:launcher|sweeper))/([^'/]+)'", message):
        group, name = plugin.groups()
        return f"{group}: {name} is a plugin that is not installed; pip install 'torchsag[{_PLUGINS[group]}]'"
    if missing := re.search(r"Could not find '([^']+)/([^'/]+)'", message):
        group, name = missing.groups()
        options = re.findall(r"^\t(\S+)$", message, flags=re.MULTILINE)
        hint = did_you_mean(name, options)
        if name.lower() in _NOTHING and _may_be_left_out(command, group):
            hint = f"; to go without one write ~{group}"
        hint = hint or f"; one of your own is found in FOLDER/{group}/{name}.yaml by 'hydra.searchpath=[file://FOLDER]'"
        return f"{group}: expected one of {', '.join(options)}, got {name!r}{hint}"
    if unknown := re.search(r"(?:Could not override|Error merging override) '?([\w.@/]+)", message):
        key = unknown.group(1)
        known = _known_keys(command, overrides, key)
        if key not in known:
            hint = did_you_mean(key, known) or f"; `torchsag {command} --help` lists them"
            return f"unknown configuration key {key!r} for {command}{hint}"
    return f"configuration: {_first_line(error)}"


def _may_be_left_out(command: str, group: str) -> bool:
    """Whether the command's class has None for this component where nobody gives one."""
    target = re.search(
        r"^_target_: *(\S+)", (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8"), re.MULTILINE
    )
    fields = {} if target is None else {one.name: one for one in dataclasses.fields(locate("_target_", target[1], ()))}
    return group in fields and fields[group].default is None


def _known_keys(command: str, overrides: Sequence[Override], unknown: str) -> list[str]:
    """Keys of the command with the chosen components, for suggestions."""
    others = [str(o.input_line) for o in overrides if o.key_or_group != unknown]
    for words in (others, [word for word in others if word.startswith("hydra.")], []):
        try:
            config = compose(command, words)
            return [key for key, _ in _flatten(OmegaConf.to_container(config, resolve=False))]
        except (HydraException, OmegaConfBaseException):
            continue  # another word may be wrong too; suggest from what is left
    return []


def _flatten(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}", value
            yield from _flatten(value, f"{prefix}{key}.")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
