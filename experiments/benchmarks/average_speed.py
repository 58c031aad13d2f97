"""CPU time of `average` of this tree and of another one, on the same particles in one run.

    python experiments/benchmarks/average_speed.py --against FOLDER [--count 100]

FOLDER is a work tree of an earlier commit (`git worktree add FOLDER c370eb2`). Simulated GroEL-like particles, 64
voxels of 6 angstrom, SNR 0.01, tilts to +-60 degrees; one thread. `average` starts from the poses of the list and
refines them near where they are, D7, for two and for five iterations: the difference is what an iteration costs, the
rest what is fixed (start, first average, final maps, report). Reference-free, 50 particles are averaged for six
iterations. Commands of both trees take turns; a short run of each beforehand fills the caches of compiled loops.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torchsag.app.main import main as torchsag
from torchsag.runs.provenance import versions

HERE = Path(__file__).resolve().parents[2]
SHORT, LONG = 2, 5


def cpu_seconds(tree: Path, words: Sequence[str]) -> float:
    """Of one command of a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "torchsag", *words], check=True, cwd=tree, env=environment, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def average_words(data: Path, out: Path, iterations: int) -> list[str]:
    """Local refinement for so many iterations."""
    return [
        "average", f"particles={data / 'particles.star'}", f"out={out}", "start=listed_poses", "symmetry=D7",
        "method=curvature_sag_local", f"iterations={iterations}", "converged_deg=0", "patience=99", "threads=1",
    ]  # fmt: skip


def free_words(data: Path, out: Path) -> list[str]:
    """From the particles alone."""
    return [
        "average", f"particles={data / 'particles.star'}", f"out={out}", "symmetry=D7", "iterations=6", "threads=1",
        "converged_deg=0", "patience=99",
    ]  # fmt: skip


def main() -> None:
    """Simulate, run by turns, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--free", type=int, default=50, help="particles of the run without a reference; 0 for none")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    trees = {"this": HERE, "earlier": options.against.resolve()}
    found: dict[str, dict[str, float]] = {name: {} for name in trees}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, count in (("few", 8), ("many", options.count), ("free", options.free)):
            if count:
                torchsag(["simulate", f"out={folder / name}", f"n={count}", "snr=0.01", "threads=1"])
        for name, tree in trees.items():
            cpu_seconds(tree, average_words(folder / "few", folder / f"{name}-warm", 1))
        for iterations in (SHORT, LONG):
            for name, tree in trees.items():
                words = average_words(folder / "many", folder / f"{name}-{iterations}", iterations)
                found[name][f"{iterations}_iterations_cpu_seconds"] = round(cpu_seconds(tree, words), 1)
        for name, tree in trees.items():
            if options.free:
                spent = cpu_seconds(tree, free_words(folder / "free", folder / f"{name}-free"))
                found[name]["reference_free_cpu_seconds"] = round(spent, 1)
    for numbers in found.values():
        short, long = (numbers[f"{iterations}_iterations_cpu_seconds"] for iterations in (SHORT, LONG))
        each = (long - short) / (LONG - SHORT)
        numbers["iteration_cpu_ms_a_particle"] = round(1e3 * each / options.count, 1)
        numbers["fixed_cpu_seconds"] = round(short - SHORT * each, 1)
    ratios = {key: round(found["this"][key] / found["earlier"][key], 3) for key in found["this"]}
    record = {
        "what": str(__doc__).splitlines()[0], "particles": options.count, "reference_free_particles": options.free,
        **found, "this_by_earlier": ratios, "versions": versions(),
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
