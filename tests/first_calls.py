"""Types and shapes are checked in the first calls of every function: checking all takes half of the tests' time."""

import functools
import inspect
import sys
import typing

from beartype import beartype

CALLS = 50


def check_first_calls(function):
    """A type checker for jaxtyping: beartype, for `CALLS` calls of a function in a process, made when it is needed.

    Functions within functions are not checked: each time that one is defined it would have to be made anew.
    """
    if "<locals>" in function.__qualname__:
        return function
    checked = None
    calls = 0

    @functools.wraps(function)
    def counted(*given, **named):
        nonlocal checked, calls
        calls += 1
        if calls > CALLS:
            return None
        if calls == CALLS:
            _leave_alone(function.__module__, function.__qualname__)
        checked = checked or beartype(function)
        return checked(*given, **named)

    return counted


def _leave_alone(module, qualname):
    """Spares the function jaxtyping's own work too; a property, which is no function, keeps it."""
    found = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    found = getattr(found, "__func__", found)
    if inspect.isfunction(found):
        typing.no_type_check(found)
