"""Build components from configuration: only component classes, known fields and values of the annotated type."""

from __future__ import annotations

import copy
import dataclasses
import functools
import types
import typing
from collections.abc import Collection, Iterator
from typing import Any

from torchsag.app.suggest import did_you_mean
from torchsag.app.targets import command_targets, locate
from torchsag.errors import InputError

_REFUSED = {"_args_", "_recursive_", "_convert_", "_mode_"}
_DIRECTIVES = {"_target_", "_partial_"}
_SCALARS = (bool, int, float, str)


def build(config: dict[str, Any], allowed: tuple[str, ...] = (), words: Collection[str] = ()) -> Any:
    """Make a component, and everything nested in it, from plain containers; see `torchsag.app.targets` for the rule.

    Not by hydra's ``instantiate``: that reads interpolations in the values once more, after they were checked.

    Parameters
    ----------
    config
        With interpolations filled in.
    allowed
        Packages besides torchsag and torch.optim that a ``_target_`` may name.
    words
        Keys at the top that may be there without being fields: others refer to them.

    Raises
    ------
    InputError
        If a ``_target_`` is none that a yaml may name, a field is unknown or missing, a value has the wrong type, or
        the component itself refuses its values.
    """
    config = copy.deepcopy(config)
    top = dict(config)
    found = {id(node): _component(where, node, allowed) for where, node in _targets(config)}
    for where, node in _targets(config):
        if words and not where:
            _drop(node, set(words) - _fields(found[id(node)]))
        _check_fields(where, node, found[id(node)])
    return _make(config, "", found, top)


def _targets(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from _targets(value, _below(path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, f"{path}[{index}]")


def _below(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _component(where: str, node: dict[str, Any], allowed: tuple[str, ...]) -> type:
    """The class of a node, if it may stand there."""
    label = _below(where, "_target_")
    found = locate(label, node["_target_"], allowed)
    for directive in _REFUSED & set(node):
        raise InputError(
            f"{_below(where, directive)}: expected the fields of {found.__name__} by name, got {directive}"
        )
    if node.get("_partial_") not in (None, False) and not node["_target_"].startswith("torch.optim."):
        raise InputError(f"{_below(where, '_partial_')}: expected a component, which is made whole, got _partial_")
    return found


def _make(node: Any, where: str, found: dict[int, type], top: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_make(value, f"{where}[{index}]", found, top) for index, value in enumerate(node)]
    if not isinstance(node, dict):
        return node
    values = {
        key: _make(value, _below(where, key), found, top) for key, value in node.items() if key not in _DIRECTIVES
    }
    if id(node) not in found:
        return values
    if node.get("_partial_"):
        return functools.partial(found[id(node)], **values)
    try:
        return found[id(node)](**values)
    except InputError as error:
        raise _by_key(error, where, node, top) from error
    except TypeError as error:
        raise InputError(f"{where or 'configuration'}: {_first_line(error)}") from error


def _by_key(error: InputError, where: str, node: dict[str, Any], top: dict[str, Any]) -> InputError:
    """The refusal of a component under the key that the user typed: components name their fields alone.

    A value that a word of the command stands for, such as ``snr``, goes by that word.
    """
    field, colon, rest = str(error).partition(": ")
    if type(error) is not InputError or not where or not colon or field not in node:
        return error
    by_word = field in top and top[field] == node[field]
    return InputError(f"{field if by_word else _below(where, field)}: {rest}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _check_fields(where: str, node: dict[str, Any], target: type) -> None:
    """Compare a node with the dataclass it is for; whole numbers meant as floats become floats in place."""
    if not dataclasses.is_dataclass(target):
        return
    fields = _fields(target)
    hints = typing.get_type_hints(target)
    prefix = f"{where}." if where else ""
    for key, value in list(node.items()):
        if key in _DIRECTIVES:
            continue
        if key not in fields:
            raise InputError(f"unknown configuration key {prefix + key!r}{did_you_mean(key, sorted(fields))}")
        _refuse_commands(f"{prefix}{key}", value, hints[key])
        expected = _scalar_types(hints[key])
        if expected and not isinstance(value, dict) and not _fits(value, expected):
            names = " or ".join("none" if kind is type(None) else kind.__name__ for kind in expected)
            raise InputError(f"{prefix}{key}: expected {names}, got {value!r}")
        if float in expected and isinstance(value, int):
            node[key] = _number(f"{prefix}{key}", value)
    required = [field.name for field in dataclasses.fields(target) if field.init and _is_required(field)]
    missing = [name for name in required if name not in node]
    if missing:
        raise InputError(f"{prefix}{missing[0]}: expected a value for {target.__name__}, got none")


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _number(key: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{key}: expected a number, got one of {len(str(value))} digits") from None


def _refuse_commands(where: str, value: Any, hint: Any) -> None:
    """A command in place of a component would be run by whoever calls the component."""
    for below, node in _targets(value, where):
        target = str(node["_target_"])
        annotated = f"{getattr(hint, '__module__', '')}.{getattr(hint, '__qualname__', '')}"
        if target in command_targets() and not (below == where and annotated == target):
            raise InputError(f"{below}._target_: expected a component, got {target!r}, which is a command")


def _fields(target: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(target) if field.init}


def _drop(node: dict[str, Any], keys: Collection[str]) -> None:
    for key in keys:
        node.pop(key, None)


def _scalar_types(hint: Any) -> tuple[type, ...]:
    """The types a plain field accepts; empty where the annotation is not made of plain types."""
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return members if all(member in (*_SCALARS, type(None)) for member in members) else ()


def _fits(value: Any, expected: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in expected
    if isinstance(value, int) and float in expected:
        return True
    return isinstance(value, expected)
