"""How a result came about: command, configuration, versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
    packages
        The user's own packages that components were taken from.
    began
        When the command did, by `time.perf_counter`.
    """

    command: str
    configuration: str = ""
    packages: tuple[str, ...] = ()
    began: float = field(default_factory=time.perf_counter, compare=False)

    def part(self, name: str) -> Provenance:
        """Of a part of the command that begins now."""
        return replace(self, command=f"{self.command} ({name})", began=time.perf_counter())

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.perf_counter() - self.began


def versions() -> dict[str, str]:
    """Versions of torchsag, python and the packages that results depend on."""
    found = {"torchsag": VERSION, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_states(packages: Sequence[str]) -> dict[str, dict[str, str | bool]]:
    """Commit of each package that is run from a git checkout, and whether files in it have been changed since.

    Packages that are imported already are looked at, and nothing else: git reads, and may run, what a repository
    configures.
    """
    states = {}
    for package in packages:
        home = getattr(sys.modules.get(package), "__file__", None)
        found = None if home is None else _git_state(Path(home))
        if found is not None:
            states[package] = found
    return states


def _git_state(file: Path) -> dict[str, str | bool] | None:
    """None where the file is in no checkout, or there is no git."""
    if _git(file, "ls-files", "--error-unmatch", file.name) is None:
        return None
    commit = _git(file, "rev-parse", "HEAD")
    changed = _git(file, "status", "--porcelain", "--untracked-files=no", ".")
    return None if commit is None or changed is None else {"commit": commit, "changed": bool(changed)}


def _git(file: Path, *words: str) -> str | None:
    """What git prints in a file's folder; None if it refuses."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *words],
            cwd=file.parent, env=environment, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
