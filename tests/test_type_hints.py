"""Every annotation of a public function or class means something: a name that a formatter broke would not resolve."""

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


@pytest.mark.parametrize("name", MODULES)
def test_annotations_resolve(name):
    module = importlib.import_module(name)
    for thing in annotated(module):
        typing.get_type_hints(thing, include_extras=True)
