"""Conditions such as ``score > 0.2 and tomogram == 'TS_01'``: a small part of Python's grammar, read and never run."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from torchsag.errors import InputError

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": np.abs, "sqrt": np.sqrt, "log": np.log}
_LONGEST, _DEEPEST = 2000, 50
_CLASS = re.compile(r"""\bclass\b(?=(?:[^'"]|'[^']*'|"[^"]*")*$)""")  # not within quotes; a word of Python's grammar
_WORDS = "comparisons, and, or, not, in, + - * / % **, abs, sqrt, log and names of columns"


def chosen_by(expression: str, columns: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    """The rows that a condition holds for.

    Parameters
    ----------
    expression
        The condition.
    columns
        Numbers or texts by name; a condition on a number that is not there (NaN) does not hold.
    rows
        How many there are.

    Raises
    ------
    InputError
        If it is no condition, names no column, or compares numbers with text.
    """
    if len(expression) > _LONGEST:
        raise InputError(f"where: expected a condition of at most {_LONGEST} characters, got {len(expression)}")
    try:
        tree = ast.parse(_CLASS.sub("class_", expression.strip()), mode="eval")
        with np.errstate(all="ignore"):
            found = np.asarray(_value(tree.body, columns, 0))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise _unreadable(expression) from error
    except (TypeError, np.exceptions.DTypePromotionError) as error:
        raise InputError(
            f"where: expected numbers compared with numbers and texts with texts, got {expression!r}"
        ) from error
    if found.dtype != np.bool_:
        raise InputError(f"where: expected a condition that is true or false, such as score > 0.2, got {expression!r}")
    return np.broadcast_to(found, (rows,))


def _unreadable(expression: str) -> InputError:
    return InputError(
        f"where: expected a condition made of {_WORDS}, such as score > 0.2 and class == 1, got {expression!r}"
    )


def _value(node: ast.expr, columns: Mapping[str, np.ndarray], depth: int) -> Any:
    if depth > _DEEPEST:
        raise InputError(f"where: expected a condition nested at most {_DEEPEST} deep")

    def of(inner: ast.expr) -> Any:
        return _value(inner, columns, depth + 1)

    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return float(node.value) if isinstance(node.value, int) and not isinstance(node.value, bool) else node.value
        case ast.Name():
            return _column(node.id, columns)
        case ast.BoolOp():
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return join.reduce([_condition(of(value), value) for value in node.values])
        case ast.UnaryOp(op=ast.Not()):
            return np.logical_not(_condition(of(node.operand), node.operand))
        case ast.UnaryOp(op=ast.USub()):
            return -of(node.operand)
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](of(node.left), of(node.right))
        case ast.Compare():
            return _compared(node, of)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](of(argument))
    raise _unreadable(ast.unparse(node))


def _column(name: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    if name in columns:
        return columns[name]
    shown = ", ".join(list(columns)[:40])
    raise InputError(f"where: expected the name of a column, got {name!r}; there are {shown}")


def _condition(value: Any, node: ast.expr) -> np.ndarray:
    found = np.asarray(value)
    if found.dtype != np.bool_:
        raise InputError(f"where: expected a condition beside and, or, not, got {ast.unparse(node)!r}")
    return found


def _compared(node: ast.Compare, of: Callable[[ast.expr], Any]) -> np.ndarray:
    """A chain of comparisons: ``0.1 < score < 0.5`` holds where both do."""
    left, parts = of(node.left), []
    for comparison, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(comparison, (ast.In, ast.NotIn)):
            if not isinstance(right, (ast.List, ast.Tuple)):
                raise _unreadable(ast.unparse(node))
            parts.append(np.isin(left, [of(one) for one in right.elts], invert=isinstance(comparison, ast.NotIn)))
            continue
        value = of(right)
        if _is_text(left) != _is_text(value) or type(comparison) not in _COMPARISONS:
            raise TypeError
        parts.append(np.asarray(_COMPARISONS[type(comparison)](left, value)))
        left = value
    return np.logical_and.reduce(parts)


def _is_text(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "US"
