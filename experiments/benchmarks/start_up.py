"""CPU seconds that a command takes before it has anything to do, and those of one alignment from beginning to end.

    python experiments/benchmarks/start_up.py [--against CHECKOUT] [--rounds 5]

Every figure is the CPU time, user and system, of a process of its own on one thread; rounds of all processes take
turns, so that a busy machine slows them alike, and medians are given with the least and the most. `--against` names
another checkout of torchsag, such as a ``git worktree`` of an earlier commit, measured in the same rounds. The
particle is simulated: 64 voxels of 6 angstrom, SNR 0.1. A first round that is not counted fills all caches (numba's
kernels, matplotlib's fonts, tables of spherical harmonics).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from torchsag.runs.provenance import versions

_MAIN = "import sys; from torchsag.app.main import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    """Take turns, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    checkouts = {"this": Path(__file__).resolve().parents[2]}
    if options.against is not None:
        checkouts["against"] = options.against.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate = ["simulate", "out=one", "n=1", "snr=0.1"]
        _cpu_seconds(checkouts["this"], folder, ["-c", _MAIN, *simulate])
        taken = {where: {job: [] for job in _jobs()} for where in checkouts}
        for turn in range(options.rounds + 1):
            for where, checkout in checkouts.items():
                for job, words in _jobs(f"out={where}{turn}").items():
                    spent = _cpu_seconds(checkout, folder, words)
                    if turn > 0:
                        taken[where][job].append(spent)
    record = {where: _summary(checkout, taken[where]) for where, checkout in checkouts.items()}
    if options.against is not None:
        record["ratio"] = {
            job: round(record["this"][job]["median"] / record["against"][job]["median"], 3) for job in _jobs()
        }
    text = {"versions": versions(), "threads": 1, "rounds": options.rounds, "cores": os.cpu_count(), **record}
    options.out.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


def _jobs(out: str = "out=out") -> dict[str, list[str]]:
    """Words after ``python``, by what they show."""
    align = ["align", "particles=one/particles.star", "reference=one/reference.mrc", out]
    return {
        "load torchsag.workflows.average.command": [
            "-c",
            # a package in later commits, a module in earlier ones
            "import torchsag.workflows.average\n"
            "try:\n import torchsag.workflows.average.command\nexcept ModuleNotFoundError: pass",
        ],
        "a file that is not there": ["-c", _MAIN, *align, "truth=nowhere.star"],
        "align one particle": ["-c", _MAIN, *align],
    }


def _cpu_seconds(checkout: Path, folder: Path, words: list[str]) -> float:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": str(checkout), "MPLBACKEND": "Agg"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=False, **quiet)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode != (2 if "truth=nowhere.star" in words else 0):
        sys.exit(f"{' '.join(words)} ended with status {run.returncode} in {checkout.name}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _summary(checkout: Path, taken: dict[str, list[float]]) -> dict[str, object]:
    git = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    figures = {
        job: {"median": round(statistics.median(s), 2), "least": round(min(s), 2), "most": round(max(s), 2)}
        for job, s in taken.items()
    }
    return {"commit": commit, **figures}


if __name__ == "__main__":
    main()
