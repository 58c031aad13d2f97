"""How often the default search hands on no candidate near the truth, over random problems that leave no doubt of it.

    python experiments/benchmarks/missed_candidates.py [--problems 40] [--seeds 0 1]

The random problems of `tests/properties`: boxes odd and even, uneven tilt ranges, point groups with or without an axis,
shifts up to a twelfth of the box, signal of which a particle's pose is certain. Counted are particles without a
candidate within 20 degrees of the truth modulo symmetry, among all 24 and among the first 8, and particles that the
whole method leaves more than five standard errors away, with the doubt (ambiguity) that it reports of those.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import torch

from torchsag import Symmetry
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.io import write_text
from torchsag.particles import of_unit_size
from torchsag.runs.provenance import versions

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "properties"))
from random_problems import RandomProblem, errors_in_sigmas  # pyright: ignore[reportMissingImports]

GROUPS = ("C1", "C2", "C3", "C7", "D2", "D7", "T", "O")
NEAR = math.radians(20)


def main() -> None:
    """Every problem, then a line a group and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=40, help="of each seed")
    parser.add_argument("--particles", type=int, default=16, help="of each problem")
    parser.add_argument("--largest-box", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [judged(problem) for seed in options.seeds for problem in problems(seed, options)]
    groups = {name: added([row for row in rows if row["symmetry"] == name]) for name in GROUPS}
    record = {
        "what": "candidates that the default search misses, over random problems",
        "date": date.today().isoformat(),
        "settings": {"problems": options.problems, "largest_box": options.largest_box, "seeds": options.seeds},
        "versions": versions(),
        "all": added(rows),
        "groups": groups,
    }
    print(json.dumps({"all": record["all"], **groups}, indent=1))
    write_text(options.out, json.dumps(record, indent=1) + "\n")


def problems(seed: int, options: argparse.Namespace) -> Iterator[RandomProblem]:
    """Random problems, the same for the same seed."""
    draw = random.Random(seed)
    for _ in range(options.problems):
        yield RandomProblem(
            draw.randint(16, options.largest_box), 4.0, draw.choice(GROUPS),
            (-draw.randint(35, 70), draw.randint(35, 70)), 1.0, 1.0, draw.randint(0, 2**31), options.particles, True,
        )  # fmt: skip


def judged(problem: RandomProblem) -> dict:
    """Counts of one problem."""
    made, symmetry = problem.simulate(), Symmetry(problem.symmetry)
    particles = made.particles
    method = CurvatureSAGAligner()
    search = method.search.prepare(made.reference, symmetry)
    begun = time.process_time()
    found = search(of_unit_size(particles))
    spent = time.process_time() - begun
    near = symmetry.distance(found.poses.rotations, made.poses.rotations.float()[:, None]) < NEAR
    result = method.prepare(made.reference, symmetry)(particles)
    off = ~(errors_in_sigmas(result.poses, result.covariances, made.poses, problem.symmetry) < 5)
    return {
        "symmetry": problem.symmetry,
        "particles": len(near),
        "no_candidate": int((~near).all(1).sum()),
        "none_of_first_8": int((~near[:, :8]).all(1).sum()),
        "beyond_five_standard_errors": int(off.sum()),
        "ambiguity_of_those": [round(value, 4) for value in result.ambiguity[off].tolist()],
        "search_cpu_seconds": spent,
    }


def added(rows: list[dict]) -> dict:
    """The counts of several problems together."""
    names = [name for name in rows[0] if name != "symmetry"] if rows else []
    return {name: sum((row[name] for row in rows[1:]), rows[0][name]) for name in names}


if __name__ == "__main__":
    main()
