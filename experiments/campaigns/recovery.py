"""Simulate and align: whatever the box, the wedge, the symmetry and the scales, do poses end where they should?

Three particles of each of many random problems (``tests/properties/random_problems.py``) are aligned by the default
method from nothing. A pose that lies more than five of its own standard errors off, in any of its six parts, is written
down with the probability that the alignment itself gave to another pose (`ambiguity`).

    python experiments/campaigns/recovery.py --problems 200 --seed 1 --keep FOLDER

Writes ``recovery.json`` beside this file. Parts of ten problems are kept in FOLDER: the same command again goes on with
those that are missing.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scipy.stats import poisson

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "properties"))
from random_problems import (  # pyright: ignore[reportMissingImports]
    SMALLEST_BOX,
    RandomProblem,
    errors_in_sigmas,
)

from torchsag import DensityMap, ParticleSet, Poses, align
from torchsag.alignment.aligner import AlignmentResult
from torchsag.runs.provenance import versions

SIGMAS = 5
PART = 10
_SYMMETRIES = ["C1", "C2", "C3", "C7", "D2", "D7", "T", "O"]


Boxes = tuple[int, int]
BOXES: Boxes = (SMALLEST_BOX, 100)
TINY: Boxes = (16, SMALLEST_BOX - 1)


def drawn(seed: int, boxes: Boxes = BOXES) -> RandomProblem:
    """A problem that the seed decides, with a box of at least and at most so many voxels."""
    chance = random.Random(seed)
    return RandomProblem(
        box=chance.randint(*boxes),
        voxel_size=chance.uniform(0.5, 25),
        symmetry=chance.choice(_SYMMETRIES),
        tilt_range=(-chance.randint(35, 70), chance.randint(35, 70)),
        particle_scale=10 ** chance.uniform(-11, 11),
        reference_scale=10 ** chance.uniform(-11, 11),
        seed=chance.randrange(2**31),
    )


def aligned(problem: RandomProblem) -> tuple[AlignmentResult, Poses]:
    """What is found, and the truth."""
    made = problem.simulate()
    particles = ParticleSet.from_arrays(
        problem.particle_scale * made.particles.volumes.double().numpy(), problem.voxel_size,
        tilt_range=problem.tilt_range,
    )  # fmt: skip
    reference = DensityMap(problem.reference_scale * made.reference.density, problem.voxel_size)
    return align(particles, reference, symmetry=problem.symmetry, device="cpu").result, made.poses


def part(first: int, count: int, seed: int, boxes: Boxes = BOXES) -> dict[str, Any]:
    """Some problems: how far off each pose is, in its own standard errors, and how sure it was."""
    sigmas, ambiguity, off = [], [], []
    for number in range(first, first + count):
        problem = drawn(seed + number, boxes)
        found, truth = aligned(problem)
        its = errors_in_sigmas(found.poses, found.covariances, truth, problem.symmetry).tolist()
        sigmas += [round(value, 3) for value in its]
        ambiguity += [float(f"{value:.3g}") for value in found.ambiguity.tolist()]
        off += [
            {"number": number, "particle": k, "sigmas": round(value, 2), "ambiguity": ambiguity[k - len(its)]}
            | asdict(problem)
            for k, value in enumerate(its)
            if not value < SIGMAS
        ]
    return {"sigmas": sigmas, "ambiguity": ambiguity, "off": off}


def main() -> None:
    """Run the parts that are missing, and write all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, required=True)
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"versions": versions(), "seed": given.seed}
    for name, boxes, count in (("usual", BOXES, given.problems), ("tiny", TINY, given.problems // 5)):
        found: dict[str, list[Any]] = {"sigmas": [], "ambiguity": [], "off": []}
        for first in range(0, count, PART):
            kept = given.keep / f"recovery-{name}-{given.seed}-{first}.json"
            if not kept.exists():
                kept.write_text(json.dumps(part(first, min(PART, count - first), given.seed, boxes)), encoding="utf-8")
            for key, values in json.loads(kept.read_text(encoding="utf-8")).items():
                found[key] += values
        record[name] = {"boxes": boxes, "problems": count, "poses": len(found["sigmas"])} | summary(found) | found
    text = json.dumps(record, indent=1)
    Path(__file__).with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def summary(found: dict[str, list[Any]]) -> dict[str, Any]:
    """How many poses are off, how many the alignments themselves expected, and how likely so many are by chance."""
    expected = sum(found["ambiguity"])
    return {
        "beyond": len(found["off"]),
        "expected_from_ambiguity": round(expected, 3),
        "chance_of_so_many": round(float(poisson.sf(len(found["off"]) - 1, expected)), 4),
        "median_sigmas": statistics.median(found["sigmas"]),
    }


if __name__ == "__main__":
    main()
