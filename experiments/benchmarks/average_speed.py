"""CPU time of `average` of this tree and of another one, on the same particles in one run.

    python experiments/benchmarks/average_speed.py --against FOLDER [--count 100] [--keep FOLDER [--most 2]]

FOLDER is a work tree of an earlier commit (`git worktree add FOLDER c370eb2`). Simulated GroEL-like particles, 64
voxels of 6 angstrom, SNR 0.01, tilts to +-60 degrees; one thread. `average` starts from the poses of the list and
refines them near where they are, D7, for two and for five iterations: the difference is what an iteration costs, the
rest what is fixed (start, first average, final maps, report). Reference-free, 50 particles are averaged for six
iterations. `classify` divides rings and capped rings at their listed poses into ten classes, once more after an
alignment to the class averages. Commands of both trees take turns; short runs of each beforehand fill the caches of
compiled loops.

With `--keep` particles and what was measured stay in a folder, and the same command carries on; `--most` ends after so
many commands, `--add` leaves what the JSON file says of others.
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
from dataclasses import dataclass
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


def average_words(data: Path, iterations: int) -> list[str]:
    """Local refinement for so many iterations."""
    return [
        "average", f"particles={data / 'particles.star'}", "start=listed_poses", "symmetry=D7",
        "method=curvature_sag_local", f"iterations={iterations}", "converged_deg=0", "patience=99", "threads=1",
    ]  # fmt: skip


def free_words(data: Path) -> list[str]:
    """From the particles alone."""
    return [
        "average", f"particles={data / 'particles.star'}", "symmetry=D7", "iterations=6", "threads=1",
        "converged_deg=0", "patience=99",
    ]  # fmt: skip


def class_words(data: Path, classes: int) -> list[str]:
    """So many classes, divided again after an alignment to their averages."""
    return [
        "classify", f"particles={data / 'particles.star'}", f"classes={classes}", "symmetry=C7", "common_symmetry=D7",
        "start=listed_poses", "common_iterations=0", "repeats=1", "threads=1",
    ]  # fmt: skip


@dataclass(frozen=True)
class Measurements:
    """CPU seconds of commands of both trees, kept in a file as they come.

    Attributes
    ----------
    folder
        Where particles, results and the file are.
    trees
        Folder of each tree by its name.
    most
        Commands that may run; None for all.
    """

    folder: Path
    trees: dict[str, Path]
    most: int | None

    @property
    def _file(self) -> Path:
        return self.folder / "measured.json"

    def known(self) -> dict[str, float]:
        """CPU seconds by tree and command."""
        return json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}

    def by_turns(self, commands: dict[str, list[str]]) -> bool:
        """Run what is not known yet, each command in both trees one after the other; whether all is known."""
        ran = 0
        for command, words in commands.items():
            for name, tree in self.trees.items():
                known, key = self.known(), f"{name}.{command}"
                if key in known:
                    continue
                if ran == self.most:
                    return False
                spent = cpu_seconds(tree, [*words, f"out={self.folder / key}"])
                self._file.write_text(json.dumps({**known, key: round(spent, 1)}, indent=1), encoding="utf-8")
                ran += 1
        return True


def commands(data: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    """What is measured, by name, without where to."""
    chosen = {"warm": average_words(data / "few", 1)}
    if options.count:
        lengths = (SHORT, LONG)
        chosen |= {f"{iterations}_iterations": average_words(data / "many", iterations) for iterations in lengths}
    if options.free:
        chosen["reference_free"] = free_words(data / "free")
    if options.classes:
        chosen["warm_classify"] = class_words(data / "few", 2)
        chosen["classify"] = class_words(data / "classes", 10)
    return chosen


def numbers_of(known: dict[str, float], name: str, count: int) -> dict[str, float]:
    """What follows for one tree."""
    own = {key.partition(".")[2]: spent for key, spent in known.items() if key.startswith(f"{name}.")}
    numbers = {f"{key}_cpu_seconds": spent for key, spent in own.items() if not key.startswith("warm")}
    if count:
        short, long = (own[f"{iterations}_iterations"] for iterations in (SHORT, LONG))
        each = (long - short) / (LONG - SHORT)
        numbers["iteration_cpu_ms_a_particle"] = round(1e3 * each / count, 1)
        numbers["fixed_cpu_seconds"] = round(short - SHORT * each, 1)
    return numbers


def simulated(folder: Path, options: argparse.Namespace) -> None:
    """The particles, unless they are there."""
    wanted = {"few": (16, []), "many": (options.count, []), "free": (options.free, [])}
    wanted["classes"] = (options.classes, ["+structure@others.second=capped"])
    for name, (count, words) in wanted.items():
        if count and not (folder / name / "particles.star").exists():
            torchsag(["simulate", f"out={folder / name}", f"n={count}", "snr=0.01", "threads=1", *words])


def main() -> None:
    """Simulate, run by turns, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100, help="particles of the refinement; 0 for none")
    parser.add_argument("--free", type=int, default=50, help="particles of the run without a reference; 0 for none")
    parser.add_argument("--classes", type=int, default=60, help="particles of the division; 0 for none")
    parser.add_argument("--keep", type=Path, help="folder of particles and measurements")
    parser.add_argument("--most", type=int, help="commands that may run")
    parser.add_argument("--add", action="store_true", help="to the numbers in the file, beside others")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    trees = {"this": HERE, "earlier": options.against.resolve()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if options.keep is None else options.keep.resolve()
        simulated(folder, options)
        measurements = Measurements(folder, trees, options.most)
        if not measurements.by_turns(commands(folder, options)):
            return
        found = {name: numbers_of(measurements.known(), name, options.count) for name in trees}
    ratios = {key: round(found["this"][key] / found["earlier"][key], 3) for key in found["this"]}
    counts = {"particles": options.count, "reference_free": options.free, "classified": options.classes}
    parts = {"counts": {key: count for key, count in counts.items() if count}, **found, "this_by_earlier": ratios}
    before = json.loads(options.out.read_text(encoding="utf-8")) if options.add else {}
    record = {
        "what": str(__doc__).splitlines()[0],
        **{name: {**before.get(name, {}), **numbers} for name, numbers in parts.items()},
        "versions": versions(),
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
