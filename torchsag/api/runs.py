"""A command carried out for a caller in Python: its inputs as files where they are none, its folder kept or removed."""

from __future__ import annotations

import json
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
    """

    command: str
    out: Path
    inputs: Path
    kept: bool

    def particles(self, particles: ParticleSet) -> str:
        """A list of these particles; volumes in memory are written beside it."""
        path = self.inputs / "particles.star"
        if isinstance(particles.reader, HeldVolumes):
            write_particles(path, particles)
        else:
            write_poses(path, particles, None)
        return str(path)

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
def run_of(command: str, out: Any) -> Generator[Run, None, None]:
    """A place to run a command: `out`, or a temporary folder that is removed at the end."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix=f"torchsag-{command}-") as folder:
            inputs = Path(folder) / "inputs"
            inputs.mkdir()
            yield Run(command, Path(folder) / "out", inputs, kept=False)
        return
    if not isinstance(out, (str, Path)):
        raise InputError(f"out: expected the path of a folder or None, got {type(out).__name__}")
    inputs = Path(out) / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    yield Run(command, Path(out), inputs, kept=True)


def _shown(value: Any) -> str:
    """A value as yaml; of an object, what it was made of."""
    plain = value is None or isinstance(value, (bool, int, float, str))
    return json.dumps(value if plain else repr(value))
