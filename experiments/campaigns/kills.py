"""Commands killed at a file operation of theirs, and repeated: the same results, and nothing left over."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "campaigns"))
from small_data import write_set

from torchsag.app.main import main
from torchsag.io.mrc import read_mrc, write_mrc

_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}
# Most often without warning; a scheduler's and a user's way of ending a run are signals that a process may answer.
SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
_COMMON = ["threads=1", "device=cpu", "~report"]
_LONGEST = 300
# Two ranks on one core, and by root where root runs this.
_OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
}  # fmt: skip

_ADDED_UP = ("average", "classify")  # whose sums are kept by chunk


def commands(folder: Path) -> dict[str, list[str]]:
    """A short run of every command that writes, by name."""
    listed, reference = [f"particles={folder / 'list.csv'}"], f"reference={folder / 'reference.mrc'}"
    size = ["box=16", "voxel_size_angstrom=20"]
    a_map = folder / "reference.mrc"
    return {
        "align": [*listed, reference, "chunk=3", *_COMMON],
        "average": [*listed, reference, "chunk=4", "iterations=2", *_COMMON],
        "classify": [
            *listed, reference, "chunk=4", "classes=2", "repeats=1", "common_iterations=1", "class_alignments=0",
            "resolution_angstrom=40", "~local_alignment", *_COMMON,
        ],
        "simulate": ["n=6", *size, "snr=0.5", "chunk=2", *_COMMON[:2]],
        "compare": ["n=4", *size, "snr=[1.0,0.5]", "method=fast_matching", *_COMMON],
        "extract": [
            f"positions={folder / 'picks.csv'}", f"tomogram={folder / 'tomogram.mrc'}", "box=12", "chunk=2",
            "tilt_min_deg=-60", "tilt_max_deg=60", "threads=1",
        ],
        "select": [f"particles={folder / 'list.csv'}", "random=4", "threads=1"],
        "convert": [f"in={folder / 'list.csv'}", "voxel_size_angstrom=10", "threads=1"],
        "map": [f"map={a_map}", "low_pass_angstrom=40", "threads=1"],
        "mask": [f"in={a_map}", "threads=1"],
        "duplicates": [*listed, "threads=1"],
        "demo": [
            "n=4", "simulation.box=16", "simulation.voxel_size_angstrom=20", "snr=1", "~method@methods.sag",
            "~method@methods.xu_alber", "~method@methods.chen_frm", *_COMMON,
        ],
        "postprocess": [f"half1={folder / 'p0.mrc'}", f"half2={folder / 'p1.mrc'}", "threads=1", "~report"],
    }  # fmt: skip


# Commands whose out= is a file, and its name.
_FILES = {"select": "chosen.star", "convert": "list.star", "map": "map.mrc", "mask": "mask.mrc"}


def write_inputs(folder: Path) -> None:
    """Particles, and a tomogram with places in it."""
    write_set(folder, 9)
    noise = np.random.default_rng(0).normal(size=(30, 40, 44)).astype(np.float32)
    write_mrc(folder / "tomogram.mrc", noise, 10.0)
    rows = "".join(f"tomogram.mrc,{x},{y},14\n" for x in (12, 20, 28) for y in (11, 25))
    (folder / "picks.csv").write_text("tomogram,x,y,z\n" + rows)


def line(command: str, words: list[str], out: Path) -> list[str]:
    """The words of one run into the folder `out`."""
    if command in _FILES:
        out.mkdir(exist_ok=True)
        return [command, f"out={out / _FILES[command]}", *words]
    return [command, f"out={out}", *words]


def child(words: list[str], kill_at: int | None, out: Path, log: Path, number: int = signal.SIGKILL) -> tuple[int, int]:
    """Run a command in a child; returns its wait status and how many file operations below `out` it came to."""
    return in_child(words, log, lambda: watch(kill_at, [out], number))


def in_child(words: list[str], log: Path, prepare: Callable[[], list[int]]) -> tuple[int, int]:
    """Run a command in a child that is prepared for it; returns its wait status and what was counted meanwhile."""
    reading, writing = os.pipe()
    heard, saying = os.pipe()  # not the log itself: limits on the size of files are not about it
    process = os.fork()
    if process == 0:
        os.close(reading)
        _speak_into(saying)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have jobs in the background ignore it
        signal.alarm(_LONGEST)
        count = prepare()
        status = _as_from_a_shell(words)
        os.write(writing, str(count[0]).encode())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    os.close(writing)
    os.close(saying)
    with os.fdopen(heard, "rb") as voice, log.open("ab") as file:
        file.write(voice.read())
    said = os.read(reading, 64)
    os.close(reading)
    return os.waitpid(process, 0)[1], int(said or 0)


def _as_from_a_shell(words: list[str]) -> int:
    """A defect is a traceback and status 1."""
    try:
        return main(words)
    except Exception:
        traceback.print_exc()
        return 1


def _speak_into(handle: int) -> None:
    for number in (1, 2):
        os.dup2(handle, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", buffering=1) for number in (1, 2))


def watch(kill_at: int | None, below: list[Path], number: int, reads: bool = False) -> list[int]:
    """Count the operations that write `below` these folders, with `reads` all of them, and signal before one."""
    count, marks = [0], tuple(map(str, below))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = is_write(event, arguments)
        if writes is None or not str(arguments[0]).startswith(marks):
            return
        count[0] += bool(writes or reads)
        if (writes or reads) and count[0] == kill_at:
            os.kill(os.getpid(), number)

    sys.addaudithook(hook)
    return count


def is_write(event: str, arguments: tuple[Any, ...]) -> bool | None:
    """Whether an operation on a file, by Python's audit events, writes; None for what is none."""
    if event not in _EVENTS or not arguments:
        return None
    return event != "open" or bool(isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))


def results(out: Path) -> dict[str, bytes]:
    """What has to be the same; logs of time and host are not."""
    kept = [path for path in sorted(out.rglob("*")) if path.suffix in (".star", ".mrc")]
    text = {str(path.relative_to(out)): path.read_bytes() for path in kept}
    for name in ("fsc.csv", "convergence.csv", "duplicates.csv"):
        if (out / name).exists():
            text[name] = (out / name).read_bytes()
    return text


def remains(out: Path) -> list[str]:
    """What should not be there after a finished run."""
    return [str(path.relative_to(out)) for path in out.rglob(".*")]


def run(folder: Path, count: int, seed: int, ranks: int = 0, first: int = 0) -> dict[str, Any]:
    """`count` kills at a random operation, in turn over the commands from `first`, `ranks` of them of a rank of two."""
    write_inputs(folder / "set")
    chance, defects = random.Random(seed), []
    table: dict[str, dict[str, int]] = {}
    words, out, log = commands(folder / "set"), folder / "out", folder / "log"
    whole: dict[str, tuple[dict[str, bytes], int]] = {}
    for command, its in words.items():
        status, operations = child(line(command, its, out), None, out, log)
        if status or not operations:
            raise RuntimeError(f"{command} does not run: {log.read_text()[-800:]}")
        whole[command] = results(out), operations
        table[command] = {"operations": operations, "kills": 0, "same": 0}
        shutil.rmtree(out)
    for k in range(count - ranks):
        command = list(words)[(first + k) % len(words)]
        expected, operations = whole[command]
        at, number = chance.randint(1, operations), chance.choice(SIGNALS)
        killed, _ = child(line(command, words[command], out), at, out, log, number)
        status, _ = child(line(command, words[command], out), None, out, log)
        exact = command not in _ADDED_UP
        problem = _not_killed(killed, number) or judged(status, log, out, expected, exact)
        table[command]["kills"] += 1
        table[command]["same"] += not problem
        if problem:
            name = signal.Signals(number).name
            defects.append({"command": command, "operation": at, "signal": name, "problem": problem})
        shutil.rmtree(out, ignore_errors=True)
    expected = whole["align"][0]
    for k in range(ranks):
        kind, victim, at = ("mpi", "torch")[k % 2], (k // 2) % 2, chance.randint(1, 12)
        row = table.setdefault(f"align, rank {victim} of 2, {kind}", {"operations": 12, "kills": 0, "same": 0})
        killed = launch(kind, line("align", words["align"], out), log, victim, at, [out, folder / "set"])
        status = launch(kind, line("align", words["align"], out), log)
        problem = "" if killed else "was not killed"
        problem = problem or judged(status, log, out, expected, exact=False)
        row["kills"] += 1
        row["same"] += not problem
        if problem:
            defects.append({"command": f"align, {kind}", "operation": at, "signal": "SIGKILL", "problem": problem})
        shutil.rmtree(out, ignore_errors=True)
    return {"kills": count, "seed": seed, "table": table, "defects": defects}


def _not_killed(status: int, number: int) -> str:
    """What is wrong with how a run ended that was sent a signal; SIGINT is answered, by 130."""
    if number == signal.SIGINT:
        fine = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 130
    else:
        fine = os.WIFSIGNALED(status) and os.WTERMSIG(status) == number
    return "" if fine else f"did not end by {signal.Signals(number).name}: status {status}"


def judged(status: int, log: Path, out: Path, expected: dict[str, bytes], exact: bool = True) -> str:
    """What is wrong with the repeated run; empty for nothing.

    Not exact: maps within 1e-5 of their largest value and numbers of lists within 1e-4. Two ranks add up maps in an
    order of their own, and so does a run that finds some of its sums done.
    """
    if status:
        return f"the repeated command ended with {status}: {log.read_text()[-300:]}"
    found = results(out)
    changed = [key for key in {*found, *expected} if found.get(key) != expected.get(key)]
    changed = [key for key in changed if exact or not _alike(out, key, expected)]
    if changed:
        return f"other results: {', '.join(sorted(changed))}"
    return f"remains: {remains(out)}" if remains(out) else ""


def _alike(out: Path, key: str, expected: dict[str, bytes]) -> bool:
    """Whether a file differs by rounding alone."""
    if key not in expected or not (out / key).is_file():
        return False
    if not key.endswith(".mrc"):
        return _same_numbers((out / key).read_text(), expected[key].decode())
    path = out.parent / "expected.mrc"
    path.write_bytes(expected[key])
    one, other = read_mrc(out / key), read_mrc(path)
    return one.shape == other.shape and bool(np.abs(one - other).max() <= 1e-5 * np.abs(other).max())


def _same_numbers(one: str, other: str) -> bool:
    """Whether two texts are the same but for the last digits of their numbers."""
    pairs = list(zip_longest(re.split(r"[\s,\[\]\"]+", one), re.split(r"[\s,\[\]\"]+", other)))
    numbers = [pair for pair in pairs if pair[0] != pair[1]]
    try:
        return all(abs(float(a) - float(b)) <= 1e-4 * max(1.0, abs(float(b))) for a, b in numbers)
    except (TypeError, ValueError):
        return False


def launch(
    kind: str, words: list[str], log: Path, victim: int = -1, at: int = 0, below: list[Path] | None = None
) -> int:
    """The command on two ranks, of which one may be killed; its exit status."""
    of_rank = [str(Path(__file__).with_name("one_rank.py")), str(victim), str(at), *map(str, below or ())]
    own = [*of_rank, "--", *words]
    if kind == "mpi":
        mpiexec = Path(sys.executable).with_name("mpiexec")
        start = [str(mpiexec) if mpiexec.exists() else "mpiexec", "-n", "2", sys.executable]
    else:
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with log.open("w") as file:
        done = subprocess.run(
            [*start, *own], stdout=file, stderr=subprocess.STDOUT, timeout=_LONGEST, env={**os.environ, **_OPEN_MPI}
        )
    return done.returncode
