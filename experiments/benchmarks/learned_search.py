"""Candidates of a trained network (``experiments/examples/amortised.py``) beside those of rotational matching.

    python experiments/benchmarks/learned_search.py [--steps 2000] [--particles 200] [--weights amortised.pt]

Trains the network, unless its weights are given, then both searches see the same simulated particles, none of which
the network has seen. Said are the share of particles whose best candidate, or any, lies within 17 degrees of the truth
(from where refinement arrives), CPU milliseconds of one thread a particle, and the default method's errors from these
candidates. The result is a JSON file beside this one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.evaluation import compare_poses
from torchsag.geometry import Symmetry
from torchsag.runs.provenance import versions
from torchsag.search.candidates import Search
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import simulate_particles

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import amortised

BASIN, ROUNDS, SEED = math.radians(17), 5, 77


def judge(search: Search, snr: float, count: int) -> dict:
    """What a search finds and costs, and what refinement makes of it."""
    group = Symmetry("C1")
    particles, truth = simulate_particles(amortised.REFERENCE, count, snr, max_shift=amortised.REACH, seed=SEED)
    prepared = search.prepare(amortised.REFERENCE, group)
    found = prepared(particles)
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        prepared(particles)
        spent.append(1000 * (time.process_time() - start) / count)
    near = group.distance(truth.rotations[:, None], found.poses.rotations) < BASIN
    near = (near & found.scores.isfinite()).double()
    refined = CurvatureSAGAligner(search=search).prepare(amortised.REFERENCE, group)(particles)
    error = compare_poses(refined.poses, truth, group).rotation_deg
    return {
        "search": type(search).__name__,
        "snr": snr,
        "best_near_percent": round(100 * float(near[:, 0].mean()), 1),
        "any_near_percent": round(100 * float(near.amax(1).mean()), 1),
        "cpu_ms_per_particle": round(sorted(spent)[ROUNDS // 2], 2),
        "within_10_deg_percent": round(100 * float((error < 10).double().mean()), 1),
        "median_error_deg": round(float(error.median()), 2),
    }


def main() -> None:
    """Train, judge, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--particles", type=int, default=200)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        weights = None if given.weights is None else given.weights.resolve()
        os.chdir(folder)
        start = time.process_time()
        if weights is None:
            torch.manual_seed(0)
            for layer in amortised.NETWORK:
                if hasattr(layer, "reset_parameters"):
                    layer.reset_parameters()
            amortised.train(given.steps)
            weights = Path(folder) / "amortised.pt"
        trained = round(time.process_time() - start)
        rows = []
        for snr in (0.5, 0.1):
            for search in (amortised.LearnedSearch(str(weights)), RotationalMatching()):
                rows.append(judge(search, snr, given.particles))
                print(rows[-1], flush=True)
    record = {"particles": given.particles, "steps": given.steps, "training_cpu_seconds": trained, "rows": rows}
    given.out.write_text(json.dumps({**versions(), **record}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
