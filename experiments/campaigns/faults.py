"""Disks that fill up or turn read-only under a command, and clocks that jump: one sentence, and the same results after.

A fault begins at a file operation drawn by chance and lasts until the command ends. Faults are raised where Python is
about to ask the system (its audit events), so that they strike root too; that a file can grow no further is the
system's own limit.
"""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kills

HOURS = 3600.0
SENTENCE = "torchsag: "


def full(begins: int, out: Path) -> list[int]:
    """Nothing can be created any more; what is there can be moved and removed."""
    return _failing(begins, out, errno.ENOSPC, lambda event: event in ("open", "os.mkdir"))


def read_only(begins: int, out: Path) -> list[int]:
    """The kernel has mounted the file system read-only."""
    return _failing(begins, out, errno.EROFS, lambda event: True)


def forbidden(begins: int, out: Path) -> list[int]:
    """The rights to the folder were taken away."""
    return _failing(begins, out, errno.EACCES, lambda event: True)


def short_files(begins: int, out: Path) -> list[int]:
    """No file grows beyond some kilobytes: a write in the middle of a file fails."""
    size = 1 << (8 + begins % 8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return [0]


def jumping_clock(begins: int, out: Path) -> list[int]:
    """All clocks jump by hours, forwards and backwards, at every look."""
    chance = random.Random(begins)
    for name in ("time", "monotonic", "perf_counter"):
        true = getattr(time, name)
        setattr(time, name, lambda true=true: true() + HOURS * chance.uniform(-30, 30))
    return [0]


FAULTS: dict[str, Callable[[int, Path], list[int]]] = {
    "full": full, "read-only": read_only, "forbidden": forbidden, "short files": short_files,
    "jumping clock": jumping_clock,
}  # fmt: skip


def _failing(begins: int, out: Path, number: int, struck: Callable[[str], bool]) -> list[int]:
    """An audit hook that fails operations which write below `out`, from one of them on."""
    count, mark = [0], str(out)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if kills.is_write(event, arguments) and str(arguments[0]).startswith(mark):
            count[0] += 1
            if count[0] >= begins and struck(event):
                raise OSError(number, os.strerror(number), str(arguments[0]))

    sys.addaudithook(hook)
    return count


def judged(status: int, log: Path, out: Path, kind: str) -> str:
    """What is wrong with how a command ended under a fault; empty for nothing."""
    said = log.read_text(errors="replace")
    if "Traceback" in said or "rror in sys.excepthook" in said:
        return f"traceback: {said[-400:]}"
    if not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in (0, 2):
        return f"ended with {status}: {said[-200:]}"
    if kind == "jumping clock" and status:
        return f"ended with {status}: {said[-200:]}"
    sentences = [line for line in said.splitlines() if line.startswith(SENTENCE)]
    if status and len(sentences) != 1:
        return f"{len(sentences)} sentences: {said[-300:]}"
    return _half_written(out)


def _half_written(out: Path) -> str:
    """The first file under its final name that is not whole."""
    for path in out.rglob("*"):
        if path.suffix in (".mrc", ".star", ".json") and not any(part.startswith(".") for part in path.parts):
            try:
                if path.suffix == ".mrc":
                    kills.read_mrc(path)
                elif path.suffix == ".json":
                    json.loads(path.read_text())
                elif not path.read_text().endswith("\n"):
                    return f"half written: {path.name}"
            except ValueError as error:
                return f"half written: {error}"
    return ""


def run(folder: Path, count: int, seed: int, only: tuple[str, ...] = (), first: int = 0) -> dict[str, Any]:
    """`count` faults in turn from `first` over the commands, or some of them, each followed by a run without."""
    kills.write_inputs(folder / "set")
    chance, defects = random.Random(seed), []
    words, out, log = kills.commands(folder / "set"), folder / "out", folder / "log"
    chosen = {command: its for command, its in words.items() if not only or command in only}
    table = {command: {kind: {"runs": 0, "sound": 0} for kind in FAULTS} for command in chosen}
    whole: dict[str, tuple[dict[str, bytes], int]] = {}
    for command, its in chosen.items():
        status, operations = kills.child(kills.line(command, its, out), None, out, log)
        if status:
            raise RuntimeError(f"{command} does not run: {log.read_text()[-800:]}")
        whole[command] = kills.results(out), operations
        shutil.rmtree(out)
    pairs = [(command, kind) for kind in FAULTS for command in chosen]
    for k in range(first, first + count):
        command, kind = pairs[(k * 7919) % len(pairs)]  # a prime: all of them in turn
        log.write_text("")
        begins = chance.randint(1, whole[command][1])
        told = kills.line(command, chosen[command], out)
        status, _ = kills.in_child(told, log, lambda kind=kind, begins=begins: FAULTS[kind](begins, out))
        problem = judged(status, log, out, kind)
        if not problem:
            status, _ = kills.child(kills.line(command, chosen[command], out), None, out, log)
            problem = kills.judged(status, log, out, whole[command][0])
        table[command][kind]["runs"] += 1
        table[command][kind]["sound"] += not problem
        if problem:
            defects.append({"command": command, "fault": kind, "operation": begins, "problem": problem})
        shutil.rmtree(out, ignore_errors=True)
    return {"faults": count, "seed": seed, "table": table, "defects": defects}
