"""A command carried out for a caller in Python: its inputs as files where they are none, its folder kept or removed."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchsag.app.from_python import workflow
from torchsag.errors import InputError
from torchsag.io import write_map, write_particles, write_poses
from torchsag.particles import DensityMap, HeldVolumes, ParticleSet
from torchsag.runs.provenance import Provenance

# How the volumes of a stack written beside the list are called in it.
_WRITTEN = re.compile(r"(\d+)@particles\.mrcs")


@dataclass(frozen=True)
class Run:
    """Where a command works.

    Attributes
    ----------
    command
        Its name.
    out
        Its folder.
    inputs
        A folder for inputs that are not files yet.
    kept
        Whether the folders stay.
    given
        The particles it is about.
    """

    command: str
    out: Path
    inputs: Path
    kept: bool
    given: ParticleSet

    def particles(self) -> str:
        """A list of the particles; volumes in memory are written beside it."""
        path = self.inputs / "particles.star"
        if isinstance(self.given.reader, HeldVolumes):
            write_particles(path, self.given)
        else:
            write_poses(path, self.given, None)
        return str(path)

    def in_names_of_the_caller(self, text: str) -> str:
        """A sentence about particles by the names that they were given with, not those of files made of them here."""
        if not isinstance(self.given.reader, HeldVolumes):
            return text
        return _WRITTEN.sub(lambda found: self.given.names[int(found[1]) - 1], text)

    def map(self, name: str, volume: DensityMap) -> str:
        """A file of this map."""
        path = self.inputs / f"{name}.mrc"
        write_map(path, volume)
        return str(path)

    def workflow(self, needed: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        """The object behind the command, on this process alone unless `settings` say otherwise."""
        quiet = {"parallel": "serial"} if self.kept else {"parallel": "serial", "report": None}
        return workflow(self.command, {**needed, "out": str(self.out)}, {**quiet, **settings})

    def provenance(self, settings: Mapping[str, Any]) -> Provenance:
        """How the results came about, in words of Python."""
        words = "".join(f"{key}: {_shown(value)}\n" for key, value in settings.items())
        return Provenance(self.command, f"# called from Python: torchsag.{self.command}\n{words}")


@contextmanager
def run_of(command: str, out: Any, given: ParticleSet) -> Generator[Run, None, None]:
    """A place to run a command on particles: `out`, or a temporary folder that is removed at the end."""
    with _place(command, out, given) as run:
        try:
            yield run
        except InputError as error:
            raise InputError(run.in_names_of_the_caller(str(error))) from error


@contextmanager
def _place(command: str, out: Any, given: ParticleSet) -> Generator[Run, None, None]:
    if out is None:
        with tempfile.TemporaryDirectory(prefix=f"torchsag-{command}-") as folder:
            inputs = Path(folder) / "inputs"
            inputs.mkdir()
            yield Run(command, Path(folder) / "out", inputs, False, given)
        return
    if not isinstance(out, (str, Path)):
        raise InputError(f"out: expected the path of a folder or None, got {type(out).__name__}")
    inputs = Path(out) / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    yield Run(command, Path(out), inputs, True, given)


def _shown(value: Any) -> str:
    """A value as yaml; of an object, what it was made of."""
    plain = value is None or isinstance(value, (bool, int, float, str))
    return json.dumps(value if plain else repr(value))
