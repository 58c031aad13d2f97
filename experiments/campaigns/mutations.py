"""Seeded damage to files of every kind that torchsag reads, and what its readers make of it."""

from __future__ import annotations

import logging
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from damage import mutate
from silent import (
    Chunks,
    changed_atoms,
    changed_entries,
    changed_settings,
    changed_voxels,
    entries,
    whole_names,
)
from whole_files import WholeFile, whole_files

from torchsag.errors import InputError
from torchsag.io import regular_file
from torchsag.runs.record import Unusable
from torchsag.simulation.point_model import PointModel

SECONDS = 20


class Hang(BaseException):
    """A reader took too long."""


def _alarm(*_: Any) -> None:
    raise Hang


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def warnings_kept() -> Any:
    """The warnings that torchsag gives meanwhile, kept from the terminal."""
    log, kept = logging.getLogger("torchsag"), _Warnings()
    level, through, others = log.level, log.propagate, log.handlers[:]
    log.handlers[:] = [kept]
    log.propagate = False
    log.setLevel(logging.WARNING)
    try:
        yield kept.said
    finally:
        log.handlers[:] = others
        log.propagate = through
        log.setLevel(level)


def outcome(path: Path, read: Callable[[Path], Any]) -> tuple[str, str, Any, list[str]]:
    """``accepted``, ``refused``, ``traceback`` or ``hang``; the message; what was read; the warnings given."""
    signal.signal(signal.SIGALRM, _alarm)
    regular_file._SAID.clear()  # or the second of two alike would be silent
    with warnings_kept() as said:
        signal.alarm(SECONDS)
        try:
            value = read(path)
            return "accepted", "", value, said
        except (InputError, Unusable) as error:
            if "\n" in str(error):
                return "traceback", f"message of several lines: {error}", None, said
            return "refused", str(error), None, said
        except Hang:
            return "hang", "", None, said
        except BaseException as error:
            return "traceback", f"{type(error).__name__}: {error}", None, said
        finally:
            signal.alarm(0)


class Judge:
    """Knows what an undamaged file says, and what of it a damaged one has changed without a word.

    Parameters
    ----------
    kind, file
        The undamaged file.
    """

    def __init__(self, kind: str, file: WholeFile):
        self.kind, self.file, self.bytes = kind, file, file.path.read_bytes()
        found, message, self.value, self.usual = outcome(file.path, file.read)
        if found != "accepted":
            raise RuntimeError(f"the undamaged {kind} is not accepted: {message}")
        self.chunks = self._chunks()

    def _chunks(self) -> Chunks:
        """The bytes of each particle, by name: those without which the list lacks that particle alone."""
        separator = self.file.entries
        if separator is None:
            return {}
        names = list(entries(self.value))
        if isinstance(separator, int):
            start = len(self.bytes) - separator * len(names)
            places = {name: start + separator * row for row, name in enumerate(names)}
            return {name: (place, self.bytes[place : place + separator]) for name, place in places.items()}
        chunks, parts = {}, self.bytes.split(separator)
        for k, part in enumerate(parts):
            self.file.path.write_bytes(separator.join(parts[:k] + parts[k + 1 :]))
            found, _, value, _ = outcome(self.file.path, self.file.read)
            missing = set(names) - set(entries(value)) if found == "accepted" else set()
            if len(missing) == 1:
                chunks[missing.pop()] = (0, part)
        self.file.path.write_bytes(self.bytes)
        if len(chunks) < len(names) - 1:
            raise RuntimeError(f"the entries of {self.kind} are not found: {list(chunks)} of {names}")
        return chunks

    def changed(self, damaged: bytes, value: Any) -> str:
        """What reads otherwise although its bytes are whole; empty for nothing."""
        if self.chunks:
            assert self.file.entries is not None
            whole = whole_names(damaged, self.chunks, self.file.entries)
            return changed_entries(entries(self.value), entries(value), whole)
        if isinstance(value, tuple):  # poses, which stand in another file
            return changed_entries(entries(self.value), entries(value), list(entries(self.value)))
        if isinstance(value, torch.Tensor) and self.kind != "mrc.gz":
            return changed_voxels(damaged, self.bytes, self.value, value)
        if isinstance(value, PointModel) and self.kind != "pdb.gz":
            return changed_atoms(damaged, self.bytes, self.value, value)
        if self.kind == "yaml":
            return changed_settings(damaged, self.bytes, self.value, value)
        if self.kind in ("mrc.gz", "pdb.gz", "checkpoint"):
            return "" if _equal(self.value, value) else "reads otherwise"
        return ""


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, PointModel):
        return one.positions.shape == other.positions.shape and bool((one.positions == other.positions).all())
    if isinstance(one, dict):
        return one.keys() == other.keys() and all((one[key] == other[key]).all() for key in one)
    return one.shape == other.shape and bool((one == other).all())


def run(folder: Path, count: int, seed: int, report: bool = True, first: int = 0) -> dict[str, Any]:
    """`count` damaged files in turn over all kinds, from turn `first`: how many of each outcome, and the defects."""
    judges = [Judge(kind, file) for kind, file in whole_files(folder, report).items()]
    chance, defects, slowest = random.Random(seed), [], 0.0
    table: dict[str, Counter[str]] = {judge.kind: Counter() for judge in judges}
    for number in range(first, first + count):
        judge = judges[number % len(judges)]
        path, damaged = judge.file.path, mutate(judge.bytes, chance)
        path.write_bytes(damaged)
        began = time.process_time()
        found, message, value, said = outcome(path, judge.file.read)
        spoken = bool(set(said) - set(judge.usual))
        slowest = max(slowest, time.process_time() - began)
        if found == "accepted" and not spoken and (message := judge.changed(damaged, value)):
            found = "silent"
        elif found == "accepted":
            found = "warned" if spoken else "accepted"
        table[judge.kind][found] += 1
        if found in ("traceback", "hang", "silent"):
            head = damaged if len(damaged) < 4000 else damaged[:200]
            defects.append({"kind": judge.kind, "number": number, "found": found, "message": message[:300]})
            (folder / f"defect-{number}").write_bytes(head)
        path.write_bytes(judge.bytes)
    return {
        "mutations": count,
        "seed": seed,
        "slowest_cpu_seconds": round(slowest, 2),
        "table": {kind: dict(row) for kind, row in table.items()},
        "defects": defects,
    }
