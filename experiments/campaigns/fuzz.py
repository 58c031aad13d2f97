"""Coverage-guided fuzzing of everything that reads headers and lists, by atheris (``pip install atheris``).

    python experiments/campaigns/fuzz.py --seconds 3600

gives each kind of file an equal share of the time in a process of its own, and writes ``fuzz.json`` beside this file.
What is read must be sane, or refused in one sentence; anything else is a defect, noted once by where it was raised.
Files that are packed or carry a checksum are left to ``campaign.py``: no coverage leads through a checksum. So is yaml,
of which a whole command is composed.
"""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import whole_files
from damage import TOKENS

from torchsag.errors import InputError
from torchsag.io import regular_file
from torchsag.runs.provenance import versions

HERE = Path(__file__).parent
_READERS = ("torchsag.io.", "torchsag.simulation.atoms", "torchsag.imaging.dose", "torchsag.particles.tilt_stack")
_PASSED_OVER = {"mrc.gz", "pdb.gz", "checkpoint", "checkpoint's settings", "yaml"}
_LONGEST, _SECONDS, _MIB = 65_536, 20, 4096


def instrument() -> None:
    """Have atheris follow the functions of the readers; the import hook would take compiled loops along."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(_READERS):
            continue
        own = [value for value in vars(module).values() if getattr(value, "__module__", "") == name]
        members = [member for value in own if inspect.isclass(value) for member in vars(value).values()]
        for member in [*own, *members]:
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if inspect.isfunction(function):
                atheris.instrument_func(function)  # pyright: ignore[reportAttributeAccessIssue]


class Watch:
    """Counts what became of the inputs of one kind, and keeps what should not have happened.

    Parameters
    ----------
    file
        The kind.
    note
        Where counts and defects are kept: the process is ended from outside.
    """

    def __init__(self, file: whole_files.WholeFile, note: Path):
        self.file, self.note = file, note
        self.counts = {"inputs": 0, "refused": 0, "accepted": 0}
        self.defects: dict[str, dict[str, Any]] = {}

    def __call__(self, data: bytes) -> None:
        """Read one input."""
        self.file.path.write_bytes(data)
        regular_file._SAID.clear()
        self.counts["inputs"] += 1
        try:
            self.file.read(self.file.path)
            self.counts["accepted"] += 1
        except InputError as error:
            self.counts["refused"] += 1
            if "\n" in str(error):
                self._defect("a message of several lines", str(error), data)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}"
            self._defect(place, str(error), data)
        if self.counts["inputs"] % 500 == 1:
            self._write()

    def _defect(self, place: str, message: str, data: bytes) -> None:
        if place not in self.defects:
            self.defects[place] = {"message": message[:300], "input": repr(data[:2000])}
            self._write()

    def _write(self) -> None:
        self.note.write_text(json.dumps({**self.counts, "defects": self.defects}))


def fuzz_one(kind: str, seconds: int, seed: int, folder: Path) -> None:
    """Fuzz one kind for some seconds; does not return."""
    logging.disable(logging.CRITICAL)
    file = whole_files.whole_files(folder / "files", report=False)[kind]
    instrument()
    whole = file.path.read_bytes()
    (folder / "corpus").mkdir()
    (folder / "corpus" / "whole").write_bytes(whole)
    words = {*re.findall(rb"[^\s,\"<>]{1,60}", whole[:20000]), *(token for token in TOKENS if 0 < len(token) < 60)}
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in sorted(words))
    (folder / "dictionary").write_text("".join(f'"{word}"\n' for word in escaped))
    options = {
        "max_total_time": seconds, "seed": seed, "timeout": _SECONDS, "rss_limit_mb": _MIB, "max_len": _LONGEST,
        "dict": folder / "dictionary", "artifact_prefix": f"{folder}/stopped-",
    }  # fmt: skip
    atheris.Setup(
        [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(folder / "corpus")],
        Watch(file, folder / "note.json"),
    )
    atheris.Fuzz()


def in_a_child(kind: str, seconds: int, seed: int, folder: Path) -> dict[str, Any]:
    """Fuzz one kind in a process of its own; what it came to."""
    folder.mkdir()
    words = [sys.executable, __file__, "--kind", kind, "--seconds", str(seconds), "--seed", str(seed)]
    done = subprocess.run([*words, "--folder", str(folder)], capture_output=True, text=True, errors="replace")
    if not (folder / "note.json").exists():
        raise RuntimeError(f"{kind} was not fuzzed: {done.stderr[-2000:]}")
    found = json.loads((folder / "note.json").read_text())
    # The arcs and blocks of readers that were reached, by the undamaged file alone and in the end.
    seen = [int(number) for number in re.findall(r"cov: (\d+)", done.stderr)]
    stopped = {path.name: repr(path.read_bytes()[:2000]) for path in folder.glob("stopped-*")}  # hangs, memory
    return {**found, "coverage_first": min(seen), "coverage_last": max(seen), "stopped": stopped}


def on(folder: Path, seconds: int, seed: int, report: Callable[[dict[str, Any]], None]) -> None:
    """Fuzz all kinds in turn, and report all that is known after each."""
    kinds = [kind for kind in whole_files.whole_files(folder / "w", report=False) if kind not in _PASSED_OVER]
    share, table = max(1, seconds // len(kinds)), {}
    for number, kind in enumerate(kinds):
        table[kind] = in_a_child(kind, share, seed, folder / str(number))
        print(f"{kind}: {table[kind]}", flush=True)
        report({"versions": versions(), "seed": seed, "seconds_each": share, "table": table})


def save(record: dict[str, Any]) -> None:
    """Beside this file."""
    (HERE / "fuzz.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Fuzz one kind, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.kind:
        fuzz_one(given.kind, given.seconds, given.seed, given.folder)
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        on(Path(folder), given.seconds, given.seed, save)


if __name__ == "__main__":
    main()
