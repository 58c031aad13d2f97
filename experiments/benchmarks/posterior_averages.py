"""Averages of particles at their best poses, and at all poses that they may have, from the same particles and map.

    python experiments/benchmarks/posterior_averages.py [--cases 003-C1 ...] [--seeds 3] [--particles 100]

The sets are those of `hard_cases.py`: simulated, with a reference low-passed to 60 angstrom. Each run
is the plain command `torchsag average` with the words of `ARMS` besides. Judged is the mean of the two unfiltered
half-maps against the true structure, by that script's own correlation of Fourier shells, and poses of particles that
show something. Results are added to the JSON beside this file run by run; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from hard_cases import CASES as HARD
from hard_cases import Case, judged, simulate

from torchsag.app.main import main as torchsag
from torchsag.geometry import Symmetry
from torchsag.io import read_particles
from torchsag.runs.provenance import versions

CASES = {
    **HARD,
    "few": Case(
        "twenty ribosomes, SNR 0.01", 0.01, "ribosome", voxel_angstrom=12.0, particles=20, max_shift_voxels=3.0
    ),
}
ARMS = {
    "best pose": ["assignment=best_pose"],
    "posterior": ["assignment=posterior"],
    "posterior, all orientations while ambiguous": ["assignment=posterior", "local_below_ambiguity=0.1"],
}


def main() -> None:
    """Run what is missing, print a line for each run, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*HARD, "few"])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS)[:2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--particles", type=int, default=100)
    parser.add_argument("--words", nargs="*", default=[], help="further words of the command")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(options.out.read_text()) if options.out.exists() else {"runs": []}
    for name in options.cases:
        case = replace(CASES[name], particles=min(options.particles, CASES[name].particles))
        for seed in options.seeds:
            key = {"case": name, "seed": seed, "particles": case.particles, "words": options.words}
            done = [run["arm"] for run in record["runs"] if all(run[k] == v for k, v in key.items())]
            wanted = [arm for arm in options.arms if arm not in done]
            if not wanted:
                continue
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                simulate(case, folder, seed)
                for arm in wanted:
                    made = run(case, folder, [*ARMS[arm], *options.words])
                    record["runs"].append({**key, "arm": arm, **made})
                    print(json.dumps(record["runs"][-1]), flush=True)
                    record |= {"what": str(__doc__).splitlines()[0], "versions": versions()}
                    record["cases"] = {name: asdict(CASES[name]) for name in {run["case"] for run in record["runs"]}}
                    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def run(case: Case, folder: Path, words: list[str]) -> dict:
    """One run of the command, judged."""
    out = Path(tempfile.mkdtemp(dir=folder))
    given = [f"particles={folder / 'blind.star'}", f"reference={folder / 'given.mrc'}", f"symmetry={case.symmetry}"]
    began = time.process_time()
    if torchsag(["average", *given, f"out={out}", "device=cpu", "threads=1", "~report", *words]) != 0:
        raise SystemExit("torchsag average failed")
    spent = time.process_time() - began
    summary = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    rows = summary["iterations"]
    return {
        **judged(case, folder, [out / f"half{half}.mrc" for half in (1, 2)]),
        "iterations": len(rows),
        "searches": "".join(row["search"][0] for row in rows),
        "best_iteration": summary["summary"]["best_iteration"],
        **pose_errors(case, folder, out),
        "cpu_seconds": round(spent, 1),
    }


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
