"""Whether memory, open files and the time of a particle stay as they are over many particles.

    python experiments/benchmarks/long_run.py --particles 20000

Simulated particles, small so that there can be many, go through ``align`` (default method) and ``average`` (local
search around their poses, two iterations), each command alone in a process. After every chunk a logger notes the memory
of its own, pages of files, what the C library has handed out and what it keeps, open file descriptors and CPU seconds.
What must grow with the particles is known: the list, and what is found of each particle. Arrays for that are handed out
at the beginning and filled as the run goes on. Slopes are found by least squares, without the first quarter, in which
caches fill.

Takes some 15 CPU minutes and 1.2 GB of disk, which it frees. The result is ``long_run.json`` beside this file.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import torchsag
from torchsag.app.from_python import workflow
from torchsag.loggers import Entry, Started
from torchsag.runs import chunked_alignment
from torchsag.runs.provenance import Provenance, versions
from torchsag.simulation.fast import FastPipeline

BOX, VOXEL, SNR, CHUNK = 24, 10.0, 0.3, 64
COMMANDS: dict[str, dict[str, Any]] = {
    "align": {},
    "average": {"method": "curvature_sag_local", "start": "listed_poses", "iterations": 2, "converged_deg": 1e-9},
}


class _Mallinfo2(ctypes.Structure):
    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in _names.split()]


def allocator() -> tuple[int, int]:
    """Bytes that the C library's allocator has handed out and not got back, and bytes that it keeps for later."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo2
    found = mallinfo2()
    return found.uordblks + found.hblkhd, found.fordblks


def resident() -> tuple[int, int]:
    """Bytes in memory that are the process's own, and pages of files, which the system takes back when it needs to."""
    status = Path("/proc/self/status").read_text()
    own, files = (int(status.split(f"{name}:")[1].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return own, files


@dataclass
class Meter:
    """A logger that looks at the process after each chunk."""

    rows: list[tuple[float, ...]] = field(default_factory=list)

    def open(self, run: Started) -> Meter:
        """Itself."""
        return self

    def keep(self, entry: Entry) -> None:
        """Particles so far, bytes of memory of its own and of files, handed out and kept, open files, CPU seconds."""
        if entry.stage == "chunk":
            files = len(os.listdir("/proc/self/fd"))
            self.rows.append((entry.step, *resident(), *allocator(), files, time.process_time()))

    def close(self, finished: bool) -> None:
        """Nothing to close."""


def bytes_of_a_result() -> float:
    """What is kept of a particle that has been aligned: its row in all columns.

    Beside what `_columns` makes: its fault, a reference to an empty text, and its CPU seconds.
    """
    columns = [*chunked_alignment._columns(CHUNK, None, []).values(), np.full(CHUNK, "", object), np.zeros(CHUNK)]
    return round(sum(column.nbytes for column in columns) / CHUNK, 1)


def measured(command: str, data: Path) -> dict[str, Any]:
    """Run one command in this process."""
    torch.set_num_threads(1)
    meter, out = Meter(), data.parent / command
    needed = {"particles": str(data / "particles.star"), "reference": str(data / "reference.mrc"), "out": str(out)}
    if command == "average":
        needed.pop("reference")
    common = {"chunk": CHUNK, "device": "cpu", "report": None, "logger": meter}
    workflow(command, needed, {**COMMANDS[command], **common})(Provenance(command))
    whole = time.process_time()
    rows = np.array(meter.rows)
    done, own, of_files, heap, kept_free, files, seconds = rows.T
    late = done > done[-1] / 4
    quarters = np.interp(np.linspace(done[0], done[-1], 5), done, seconds)
    each = np.diff(quarters) / (done[-1] - done[0]) * 4e3
    return {
        "particles_aligned": int(done[-1]),
        "cpu_seconds": whole,
        "own_mib": in_mib(done, own),
        "of_files_mib": in_mib(done, of_files),
        "kept_by_the_allocator_mib": in_mib(done, kept_free),
        "bytes_a_particle_own": slope(done[late], own[late]),
        "bytes_a_particle_of_files": slope(done[late], of_files[late]),
        "bytes_a_particle_kept_by_the_allocator": slope(done[late], kept_free[late]),
        "bytes_a_particle_handed_out": slope(done[late], heap[late]),
        "bytes_a_particle_of_results": bytes_of_a_result(),
        "open_files_first_and_most": [int(files[0]), int(files.max())],
        "cpu_milliseconds_a_particle_by_quarter": each.round(2).tolist(),
        "peak_resident_mib": peak_mib(),
        "bytes_a_particle_handed_out_by_pass": by_pass(kept := rows[:: max(1, len(rows) // 40)].tolist(), done[-1]),
        "rows": kept,
    }


def in_mib(done: np.ndarray, values: np.ndarray) -> list[float]:
    """At nine moments of the run."""
    return [round(float(value) / 2**20, 1) for value in np.interp(np.linspace(0, done[-1], 9), done, values)]


def by_pass(rows: list[list[float]], last: float) -> list[float]:
    """Slopes of the memory handed out over each quarter of the particles: in `average` each half, twice."""
    done, heap = [row[0] for row in rows], [row[3] for row in rows]
    parts = [[k for k, at in enumerate(done) if low < at / last <= low + 0.25] for low in (0.0, 0.25, 0.5, 0.75)]
    return [slope(np.array([done[k] for k in part]), np.array([heap[k] for k in part])) for part in parts]


def slope(places: np.ndarray, values: np.ndarray) -> float:
    """Of a straight line through the values."""
    return round(float(np.polyfit(places, values, 1)[0]), 2)


def peak_mib() -> float:
    """The most memory that was resident."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


def make(folder: Path, count: int) -> None:
    """The particles, in chunks, by the command's own simulator."""
    settings = {"n": count, "box": BOX, "voxel_size_angstrom": VOXEL, "device": "cpu", "chunk": CHUNK}
    settings |= {"pipeline": FastPipeline(SNR), "low_pass_angstrom": None}
    workflow("simulate", {"out": str(folder)}, settings)(Provenance("simulate"))


def main() -> None:
    """Measure one command, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=20_000)
    parser.add_argument("--command")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    if given.command:
        print(json.dumps(measured(given.command, given.data)))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        make(data, given.particles)
        for command in COMMANDS:
            words = [sys.executable, __file__, "--command", command, "--data", str(data)]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            found[command] = json.loads(done.stdout.splitlines()[-1])
            print(command, {key: value for key, value in found[command].items() if key != "rows"})
    settings = {"particles": given.particles, "box": BOX, "chunk": CHUNK, "snr": SNR, "torchsag": torchsag.__version__}
    record = {"versions": versions(), **settings, "commands": found}
    Path(__file__).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
