"""How a result came about: command, configuration, versions."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from torchsag.version import VERSION

_PACKAGES = ("torch", "numpy", "scipy", "numba", "mrcfile", "hydra-core")


@dataclass(frozen=True)
class Provenance:
    """Where a run's settings came from.

    Attributes
    ----------
    command
        The command's name, or what else to call this run.
    configuration
        The resolved configuration as yaml, written beside the results.
    """

    command: str
    configuration: str = ""


def versions() -> dict[str, str]:
    """Versions of torchsag, python and the packages that results depend on."""
    found = {"torchsag": VERSION, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
