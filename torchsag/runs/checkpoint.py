"""Finished chunks of a run, kept so that a killed run carries on where it stopped."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.errors import InputError
from torchsag.io import atomic_path

_FOLDER = ".checkpoint"
_SETTINGS = "settings.json"
_SIGNATURES = "signatures"

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """One ``.npz`` per finished chunk of particles, below the output folder.

    A chunk is used again only if every particle in it still has the signature (name, size, time of change) it had
    when the chunk was computed, so particles may be repaired or appended between runs.
    """

    folder: Path

    @staticmethod
    def begin(out: Path, settings: dict[str, str], resume: bool) -> Checkpoint:
        """Open the checkpoint of a run with these settings, empty if there is none or `resume` is false.

        Raises
        ------
        InputError
            If there is one of an unfinished run with other settings.
        """
        folder = out / _FOLDER
        record = folder / _SETTINGS
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        if record.exists():
            earlier = json.loads(record.read_text(encoding="utf-8"))
            if earlier == settings:
                return Checkpoint(folder)
            raise InputError(
                f"out={out}: holds an unfinished run with other settings ({_difference(earlier, settings)}); "
                "repeat that run's command to finish it, or add resume=false to start over"
            )
        folder.mkdir(exist_ok=True)
        with atomic_path(record) as temporary:
            temporary.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        return Checkpoint(folder)

    def finished(self, signatures: Sequence[str]) -> dict[range, Columns]:
        """The chunks that are done, by the rows they cover, for a run over particles with these signatures."""
        done: dict[range, Columns] = {}
        for path in sorted(self.folder.glob("chunk-*.npz")):
            start, stop = (int(part) for part in path.stem.split("-")[1:])
            with np.load(path, allow_pickle=False) as archive:
                columns = dict(archive)
            if list(columns.pop(_SIGNATURES)) == list(signatures[start:stop]):
                done[range(start, stop)] = columns
            else:
                path.unlink()
        return done

    def save(self, rows: range, signatures: Sequence[str], columns: Columns) -> None:
        """Record one finished chunk; a kill at any moment leaves either all of it or nothing."""
        name = self.folder / f"chunk-{rows.start:09d}-{rows.stop:09d}.npz"
        with atomic_path(name) as temporary, temporary.open("wb") as file:
            np.savez(file, **{_SIGNATURES: np.array(signatures[rows.start : rows.stop])}, **columns)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())

    def part(self, name: str) -> Checkpoint:
        """A checkpoint of its own for one stage of the run, removed with this one."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Checkpoint(folder)

    def remove(self) -> None:
        """Forget everything: the run is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)


def describe(component: Any) -> dict[str, str]:
    """Every setting of a component and of those nested in it, as flat text: what a checkpoint compares."""
    if not is_dataclass(component):
        return {"": repr(component)}
    flat = {"": type(component).__qualname__}
    for field in fields(component):
        for key, value in describe(getattr(component, field.name)).items():
            flat[f"{field.name}.{key}".rstrip(".")] = value
    return flat


def _difference(earlier: dict[str, str], now: dict[str, str]) -> str:
    changed = [key for key in sorted({*earlier, *now}) if earlier.get(key) != now.get(key)]
    shown = [f"{key or 'run'}: {earlier.get(key, 'unset')} then, {now.get(key, 'unset')} now" for key in changed[:3]]
    return "; ".join([*shown, f"and {len(changed) - 3} more"] if len(changed) > 3 else shown)
