"""Build components from configuration: only allowed targets, known fields and values of the annotated type."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterator
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from torchsag.app.suggest import did_you_mean
from torchsag.errors import InputError

_ALWAYS_ALLOWED = ("torchsag", "torch.optim")
_DIRECTIVES = {"_target_", "_convert_", "_recursive_", "_partial_", "_args_"}
_SCALARS = (bool, int, float, str)


def build(config: dict[str, Any], allowed: tuple[str, ...] = (), words: Collection[str] = ()) -> Any:
    """Instantiate a configuration and everything nested in it.

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
        If a ``_target_`` lies outside torchsag, torch.optim and `allowed`, a field is unknown, a value has the wrong
        type, or the component itself refuses its values.
    """
    config = copy.deepcopy(config)
    for where, node in _targets(config):
        target = _locate(where, node["_target_"], allowed)
        if words and not where:
            _drop(node, set(words) - _fields(target))
        _check_fields(where, node, target)
    try:
        return instantiate(config, _convert_="object")
    except InstantiationException as error:
        cause = _input_error(error)
        if cause is not None:
            raise cause from error
        raise


def _targets(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from _targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, f"{path}[{index}]")


def _locate(where: str, target: Any, allowed: tuple[str, ...]) -> Callable[..., Any]:
    """The class or function behind a target, after checking that its name *and* its home are allowed.

    The second check closes the way through an allowed module to what it imports, as in ``torchsag.x.os.system``.
    """
    label = f"{where}._target_" if where else "_target_"
    refusal = InputError(
        f"{label}: expected something in {', '.join((*_ALWAYS_ALLOWED, *allowed))}, got {target!r}; "
        f"if you trust that package add allow=[{str(target).partition('.')[0]}]"
    )
    if not _inside(str(target), allowed):
        raise refusal
    try:
        found = get_object(str(target))
    except Exception as error:
        raise InputError(f"{label}: cannot import {target!r}: {str(error).splitlines()[0]}") from error
    if not callable(found):
        raise InputError(f"{label}: expected a class or function, got {target!r}")
    if not _inside(f"{getattr(found, '__module__', '')}.", allowed):
        raise refusal
    return found


def _inside(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{package}.") for package in (*_ALWAYS_ALLOWED, *allowed))


def _check_fields(where: str, node: dict[str, Any], target: Callable[..., Any]) -> None:
    """Compare a node with the dataclass it is for; whole numbers meant as floats become floats in place."""
    if not (inspect.isclass(target) and dataclasses.is_dataclass(target)):
        return
    fields = _fields(target)
    hints = typing.get_type_hints(target)
    prefix = f"{where}." if where else ""
    for key, value in list(node.items()):
        if key in _DIRECTIVES:
            continue
        if key not in fields:
            raise InputError(f"unknown configuration key {prefix + key!r}{did_you_mean(key, sorted(fields))}")
        expected = _scalar_types(hints[key])
        if expected and not isinstance(value, dict) and not _fits(value, expected):
            names = " or ".join("none" if kind is type(None) else kind.__name__ for kind in expected)
            raise InputError(f"{prefix}{key}: expected {names}, got {value!r}")
        if float in expected and isinstance(value, int):
            node[key] = float(value)


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


def _input_error(error: BaseException | None) -> InputError | None:
    while error is not None:
        if isinstance(error, InputError):
            return error
        error = error.__cause__ or error.__context__
    return None
