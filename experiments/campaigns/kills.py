"""Commands killed at a file operation of theirs, and repeated: the same results, and nothing left over."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "campaigns"))
from small_data import write_set

from torchsag.app.main import main

_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}
_COMMON = ["threads=1", "device=cpu", "~report"]
_LONGEST = 300


def commands(folder: Path) -> dict[str, list[str]]:
    """A short run of every command that can be killed in the middle of something."""
    listed = [f"particles={folder / 'list.csv'}"]
    reference = [f"reference={folder / 'reference.mrc'}"]
    return {
        "align": [*listed, *reference, "chunk=3", *_COMMON],
        "average": [*listed, *reference, "chunk=4", "iterations=2", *_COMMON],
        "simulate": ["n=6", "box=16", "voxel_size_angstrom=20", "snr=0.5", "chunk=2", *_COMMON[:2]],
        "compare": ["n=4", "box=16", "voxel_size_angstrom=20", "snr=[1.0,0.5]", "method=fast_matching", *_COMMON],
    }


def child(words: list[str], kill_at: int | None, out: Path, log: Path) -> tuple[int, int]:
    """Run a command in a child; returns its wait status and how many file operations below `out` it came to."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _silent(log)
        signal.alarm(_LONGEST)
        count = _watch(kill_at, out)
        status = main(words)
        os.write(writing, str(count[0]).encode())
        os._exit(status)
    os.close(writing)
    said = os.read(reading, 64)
    os.close(reading)
    return os.waitpid(process, 0)[1], int(said or 0)


def _silent(log: Path) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)


def _watch(kill_at: int | None, out: Path) -> list[int]:
    """Count the writing operations below `out`, and die at one of them, before it happens."""
    count, mark = [0], str(out)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not arguments or not str(arguments[0]).startswith(mark):
            return
        writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        count[0] += bool(writes)
        if writes and count[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return count


def results(out: Path) -> dict[str, bytes]:
    """What has to be the same; logs of time and host are not."""
    kept = [path for path in sorted(out.rglob("*")) if path.suffix in (".star", ".mrc")]
    text = {str(path.relative_to(out)): path.read_bytes() for path in kept}
    for name in ("fsc.csv", "convergence.csv"):
        if (out / name).exists():
            text[name] = (out / name).read_bytes()
    return text


def remains(out: Path) -> list[str]:
    """What should not be there after a finished run."""
    return [str(path.relative_to(out)) for path in out.rglob(".*")]


def run(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` kills in turn over the commands, each at a random operation; defects are listed."""
    write_set(folder / "set", 9)
    chance, table, defects = random.Random(seed), {}, []
    words = commands(folder / "set")
    whole: dict[str, tuple[dict[str, bytes], int]] = {}
    for command, its in words.items():
        out = folder / "out"
        status, operations = child([command, f"out={out}", *its], None, out, folder / "log")
        if status or not operations:
            raise RuntimeError(f"{command} does not run: {(folder / 'log').read_text()[-800:]}")
        whole[command] = results(out), operations
        table[command] = {"operations": operations, "kills": 0, "same": 0}
        shutil.rmtree(out)
    for number in range(count):
        command = list(words)[number % len(words)]
        expected, operations = whole[command]
        at, out = chance.randint(1, operations), folder / "out"
        line = [command, f"out={out}", *words[command]]
        killed, _ = child(line, at, out, folder / "log")
        status, _ = child(line, None, out, folder / "log")
        problem = ""
        if not (os.WIFSIGNALED(killed) and os.WTERMSIG(killed) == signal.SIGKILL):
            problem = f"was not killed: status {killed}"
        elif status:
            problem = f"the repeated command ended with {status}: {(folder / 'log').read_text()[-300:]}"
        elif results(out) != expected:
            problem = "other results: " + ", ".join(k for k, v in results(out).items() if expected.get(k) != v)
        elif remains(out):
            problem = f"remains: {remains(out)}"
        table[command]["kills"] += 1
        table[command]["same"] += not problem
        if problem:
            defects.append({"command": command, "operation": at, "problem": problem})
        shutil.rmtree(out, ignore_errors=True)
    return {"kills": count, "seed": seed, "table": table, "defects": defects}
