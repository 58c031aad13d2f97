"""Every annotation of a public function or class means something: a name that a formatter broke would not resolve."""

import ast
import importlib
import inspect
import pkgutil
import typing
from dataclasses import is_dataclass

import pytest

import torchsag

MODULES = sorted(
    info.name for info in pkgutil.walk_packages(torchsag.__path__, "torchsag.") if not info.name.endswith("__main__")
)


def annotated(module):
    """The module's own public functions, classes and their methods."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield thing
        if inspect.isclass(thing):
            written = [member for member in vars(thing).values() if inspect.isfunction(member)]
            # What dataclass writes itself names the types of inherited fields, which other modules import.
            yield from (one for one in written if not (is_dataclass(thing) and one.__name__ == "__init__"))


def imported_for_types(module):
    """Names below ``if TYPE_CHECKING:``, which are not there at run time."""
    names = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module.__name__, "exec"), names)
    return names


@pytest.mark.parametrize("name", MODULES)
def test_annotations_resolve(name):
    module = importlib.import_module(name)
    names = imported_for_types(module)
    for thing in annotated(module):
        typing.get_type_hints(thing, localns=names, include_extras=True)
