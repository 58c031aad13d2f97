"""Finished chunks of a run, kept so that a killed run carries on where it stopped."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.errors import InputError
from torchsag.io import atomic_path
from torchsag.runs.record import Columns, Unusable, discard, read_record, require_poses, write_record
from torchsag.version import VERSION

_log = logging.getLogger(__name__)

_FOLDER = ".checkpoint"
_SETTINGS = "settings.json"
_SIGNATURES = "signatures"
_STAGE = "stage_cpu_seconds."
_CHUNK = re.compile(r"chunk-([0-9]{9})-([0-9]{9})\.npz")


@dataclass(frozen=True)
class Checkpoint:
    """One ``.npz`` per finished chunk of particles, below the output folder.

    A chunk is used again only if every particle in it still has the signature (name, size, time of change) it had
    when the chunk was computed, so particles may be repaired or appended between runs.
    """

    folder: Path

    @staticmethod
    def place(out: Path) -> Path:
        """Where the checkpoint of a run in `out` is, begun or not; what else is kept there is removed with it."""
        return out / _FOLDER

    @staticmethod
    def begin(out: Path, settings: dict[str, str], resume: bool) -> Checkpoint:
        """Open the checkpoint of a run with these settings, empty if there is none or `resume` is false.

        Raises
        ------
        InputError
            If there is one of an unfinished run with other settings.
        """
        folder = Checkpoint.place(out)
        record = folder / _SETTINGS
        if not resume:
            _empty(folder)
        if os.path.lexists(record):
            earlier = _settings(record)
            if earlier == settings:
                return Checkpoint(folder)
            if earlier is not None:
                raise InputError(
                    f"out={out}: holds an unfinished run with other settings ({_difference(earlier, settings)}); "
                    "repeat that run's command to finish it, or add resume=false to start over"
                )
        # Without settings nobody knows what the rest belongs to.
        _empty(folder)
        folder.mkdir(exist_ok=True)
        with atomic_path(record) as temporary:
            temporary.write_text(json.dumps(_signed(settings), indent=1), encoding="utf-8")
        return Checkpoint(folder)

    def finished(self, signatures: Sequence[str]) -> dict[range, Columns]:
        """The chunks that are done, by the rows they cover, for a run over particles with these signatures."""
        done: dict[range, Columns] = {}
        for path in sorted(self.folder.glob("chunk-*.npz")):
            try:
                rows, columns = _chunk(path)
            except Unusable as reason:
                discard(path, reason, "its particles are done again")
                continue
            overlapping = done and rows.start < max(other.stop for other in done)
            if not overlapping and list(columns.pop(_SIGNATURES)) == list(signatures[rows.start : rows.stop]):
                done[rows] = columns
            else:
                path.unlink()
        return done

    def save(self, rows: range, signatures: Sequence[str], columns: Columns) -> None:
        """Record one finished chunk; a kill at any moment leaves either all of it or nothing."""
        name = self.folder / f"chunk-{rows.start:09d}-{rows.stop:09d}.npz"
        write_record(name, {_SIGNATURES: np.array(signatures[rows.start : rows.stop]), **columns})

    def keep(self, task: str, columns: Columns) -> None:
        """Record the result of a task that is no range of particles, by a text that says all it depends on."""
        write_record(self.folder / _task_name(task), columns)

    def kept(self, task: str) -> Columns | None:
        """The result of a task, if it is there and whole."""
        path = self.folder / _task_name(task)
        if not os.path.lexists(path):
            return None
        try:
            return read_record(path)
        except Unusable as reason:
            discard(path, reason, "its work is done again")
            return None

    def part(self, name: str) -> Checkpoint:
        """A checkpoint of its own for one stage of the run, removed with this one."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Checkpoint(folder)

    def remove(self) -> None:
        """Forget everything: the run is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _task_name(task: str) -> str:
    return f"task-{hashlib.sha256(task.encode()).hexdigest()[:32]}.npz"


def _empty(folder: Path) -> None:
    """Remove a checkpoint, whatever it has become; a link is removed, what it points to is not."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _signed(settings: dict[str, str]) -> dict[str, Any]:
    text = json.dumps(settings, sort_keys=True)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return {"torchsag": VERSION, "sha256": checksum, "settings": settings}


def _settings(record: Path) -> dict[str, str] | None:
    """The settings of an earlier run; None, and one sentence, if they are damaged or another version's."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        settings = found["settings"]
        if found == _signed(settings):
            return settings
        reason = f"was written by torchsag {found['torchsag']}" if found == {
            **_signed(settings), "torchsag": found["torchsag"]
        } else "is damaged"  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        reason = "is damaged, or was not written by this version of torchsag"
    _log.warning("%s %s; what was finished there is done again", record, reason)
    return None


def _chunk(path: Path) -> tuple[range, Columns]:
    """A chunk and the rows it covers."""
    named = _CHUNK.fullmatch(path.name)
    if named is None:
        raise Unusable("is no chunk of a run")
    rows, columns = range(int(named[1]), int(named[2])), read_record(path)
    if _SIGNATURES not in columns or not len(rows) or columns[_SIGNATURES].shape != (len(rows),):
        raise Unusable("is no chunk of these rows")
    if any(not name.startswith(_STAGE) and len(column) != len(rows) for name, column in columns.items()):
        raise Unusable("is no chunk of these rows")
    if "rotations" in columns:
        require_poses(columns, columns["fault"] != "" if "fault" in columns else None)
    return rows, columns


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
