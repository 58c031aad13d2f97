"""Averages of particles at their best poses, and at all poses that they may have, from the same particles and map.

    python experiments/benchmarks/posterior_averages.py [--cases 003-C1 ...] [--seeds 3] [--particles 100]

The sets are those of `hard_cases.py`: simulated, with a reference low-passed to 60 angstrom. Each run is the plain
command `torchsag average` with the words of `ARMS` besides. Judged is the mean of the two unfiltered half-maps against
the true structure, by that script's own correlation of Fourier shells, and poses of particles that show something.
`--groel FILE`, a model of 1OEL, adds averages of twenty of it, without symmetry, from the particles alone (64 voxels of
6 angstrom, SNR 0.003), whose FSC with the truth is the command's own. Results are added to the JSON beside this file
run by run; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from hard_cases import CASES as HARD
from hard_cases import Case, hide_poses, judged, simulate

from torchsag.app.main import main as torchsag
from torchsag.geometry import Symmetry
from torchsag.io import read_particles
from torchsag.runs.provenance import versions

JUDGED = (
    "resolution_0.143_angstrom",
    "truth_resolution_0.5_angstrom",
    "oracle_truth_resolution_0.5_angstrom",
    "median_rotation_error_deg",
)
CASES = {
    **HARD,
    "few": Case(
        "twenty ribosomes, SNR 0.01", 0.01, "ribosome", voxel_angstrom=12.0, particles=20, max_shift_voxels=3.0
    ),
}
ARMS = {"best pose": ["assignment=best_pose"], "posterior": ["assignment=posterior"]}


def main() -> None:
    """Run what is missing, print a line for each run, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=[*HARD, "few"])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--particles", type=int, default=100)
    parser.add_argument("--words", nargs="*", default=[], help="further words of the command")
    parser.add_argument("--groel", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(options.out.read_text()) if options.out.exists() else {"runs": []}
    for name in options.cases:
        case = replace(CASES[name], particles=min(options.particles, CASES[name].particles))
        for seed in options.seeds:
            key = {"case": name, "seed": seed, "particles": case.particles, "words": options.words}
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                prepare = partial(simulate, case, folder, seed)
                add(options, record, key, prepare, partial(run, case, folder))
    for seed in options.seeds if options.groel else []:
        key = {"case": "1oel", "seed": seed, "particles": 20, "words": options.words}
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            prepare = partial(simulate_groel, options.groel, folder, seed)
            add(options, record, key, prepare, partial(from_nothing, folder, seed))


def add(options: argparse.Namespace, record: dict, key: dict, prepare: Callable, made: Callable) -> None:
    """What is missing of one set of particles, each run written at once."""
    done = [run["arm"] for run in record["runs"] if all(run[k] == v for k, v in key.items())]
    wanted = [arm for arm in options.arms if arm not in done]
    if wanted:
        prepare()
    for arm in wanted:
        record["runs"].append({**key, "arm": arm, **made([*ARMS[arm], *options.words])})
        print(json.dumps(record["runs"][-1]), flush=True)
        record |= {"what": str(__doc__).splitlines()[0], "versions": versions()}
        record["cases"] = {run["case"]: asdict(CASES[run["case"]]) for run in record["runs"] if run["case"] in CASES}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def simulate_groel(structure: Path, folder: Path, seed: int) -> None:
    """Twenty particles, and their list without poses."""
    words = [f"structure={structure.resolve()}", "n=20", "snr=0.003", f"seed={seed}", "threads=1"]
    if torchsag(["simulate", f"out={folder}", *words]) != 0:
        raise SystemExit("the simulation failed")
    hide_poses(folder / "particles.star", folder / "blind.star")


def from_nothing(folder: Path, seed: int, words: list[str]) -> dict:
    """One reference-free average, judged by the command."""
    out = Path(tempfile.mkdtemp(dir=folder))
    known = [f"truth={folder / 'particles.star'}", f"truth_map={folder / 'reference.mrc'}", "truth_symmetry=D7"]
    mask = ["mask.diameter_angstrom=260", "mask.edge_angstrom=36", "iterations=14", f"seed={seed}"]
    spent, rows, summary = averaged(out, [f"particles={folder / 'blind.star'}", *known, *mask, *words])
    shown = {name.replace("resolution_", ""): summary[name] for name in JUDGED}
    return {**shown, **told(rows, summary), "cpu_seconds": spent}


def run(case: Case, folder: Path, words: list[str]) -> dict:
    """One run of the command from a map, judged."""
    out = Path(tempfile.mkdtemp(dir=folder))
    given = [f"particles={folder / 'blind.star'}", f"reference={folder / 'given.mrc'}", f"symmetry={case.symmetry}"]
    spent, rows, summary = averaged(out, [*given, *words])
    seen = judged(case, folder, [out / f"half{half}.mrc" for half in (1, 2)])
    return {**seen, **told(rows, summary), **pose_errors(case, folder, out), "cpu_seconds": spent}


def averaged(out: Path, words: list[str]) -> tuple[float, list[dict], dict]:
    """CPU seconds of a run, its table of iterations and its summary."""
    began = time.process_time()
    if torchsag(["average", f"out={out}", "device=cpu", "threads=1", "~report", *words]) != 0:
        raise SystemExit("torchsag average failed")
    spent = round(time.process_time() - began, 1)
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return spent, metrics["iterations"], metrics["summary"]


def told(rows: list[dict], summary: dict) -> dict:
    """How a run went: `g` for an iteration over all orientations, `l` for one near the poses known."""
    searches = "".join(row["search"][0] for row in rows)
    return {"iterations": len(rows), "searches": searches, "best_iteration": summary["best_iteration"]}


def pose_errors(case: Case, folder: Path, out: Path) -> dict[str, float]:
    """Rotation errors of the particles that show something, in the true frame."""
    shown = slice(round(case.junk * case.particles), None)
    found, true = (read_particles(str(path)).poses for path in (out / "poses.star", folder / "particles.star"))
    assert found is not None
    assert true is not None
    angle = Symmetry(case.symmetry).distance(found.rotations[shown].double(), true.rotations[shown].double())
    degrees = np.rad2deg(angle.numpy())
    return {
        "median_rotation_error_deg": round(float(np.median(degrees)), 2),
        "within_10_deg": round(float((degrees < 10).mean()), 3),
    }


if __name__ == "__main__":
    main()
