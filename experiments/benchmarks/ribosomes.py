"""Averages of twenty experimental 70S ribosomes, and what so few can bear.

    python experiments/benchmarks/ribosomes.py --data FOLDER

The folder holds ``particles.csv``, ``poses.csv`` (the poses that the authors of the data found) and ``reference.mrc``
(their average of many more particles). Two runs of `torchsag average`: from their average, low-passed to 60 angstrom,
and from the particles alone. Both are judged by the FSC of the result with the authors' average, after turning the one
onto the other.

A run that starts from the particles alone can end at the right poses only if it would stay there. Whether it would is
asked directly: every particle is aligned over all orientations to an average of others *at the listed poses*, and
counted if it is found within 10 degrees of its own. The others are those of its half, as in a run, or all.
The result is a JSON file beside this one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.app.main import main as torchsag
from torchsag.averaging import MapSums
from torchsag.averaging.mask import SphericalMask
from torchsag.fourier import low_pass
from torchsag.geometry import Symmetry
from torchsag.io import read_particles
from torchsag.particles import ParticleSet
from torchsag.runs.provenance import versions
from torchsag.runs.truth import true_poses

OUTLINE = SphericalMask(diameter_angstrom=300.0, edge_angstrom=36.0)
FILTERS = (60.0, 45.0, 30.0)
PARTS = 5
NO_SYMMETRY = Symmetry("C1")
SHOWN = (
    "resolution_0.143_angstrom",
    "truth_resolution_0.5_angstrom",
    "oracle_resolution_0.143_angstrom",
    "oracle_truth_resolution_0.5_angstrom",
    "median_rotation_error_deg",
    "iterations",
)


def average(data: Path, out: Path, *words: str) -> dict:
    """One run of the command, summed up."""
    common = [f"particles={data / 'particles.csv'}", f"truth={data / 'poses.csv'}", f"out={out}", "mask=from_map"]
    if torchsag(["average", *common, f"truth_map={data / 'reference.mrc'}", "device=cpu", *words]) != 0:
        raise SystemExit("torchsag average failed")
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    codes = [finding["code"] for finding in metrics["verdict"]["findings"]]
    shown = {name: metrics["summary"].get(name) for name in SHOWN}
    return {**shown, "trust": metrics["verdict"]["trust"], "findings": codes}


def found_again(particles: ParticleSet, groups: list[list[int]], resolution_angstrom: float) -> dict:
    """How many find their pose by the average of the group's others, which stand at theirs.

    As in a run, a group is divided into parts by turns, and each part is aligned to the average of the other parts.
    """
    assert particles.poses is not None
    errors = []
    for group in groups:
        for part in range(PARTS):
            left_out, others = group[part::PARTS], [i for i in group if i not in group[part::PARTS]]
            sums = MapSums.empty(particles.box, particles.voxel_size)
            sums.add(particles.load(others), particles.poses[others])
            (made,) = sums.finish(NO_SYMMETRY, floor=0.05)
            filtered = low_pass(made.density, resolution_angstrom, made.voxel_size)
            reference = replace(made, density=filtered * OUTLINE(made, resolution_angstrom))
            found = CurvatureSAGAligner().prepare(reference, NO_SYMMETRY)(particles.load(left_out)).poses
            angle = NO_SYMMETRY.distance(found.rotations.double(), particles.poses[left_out].rotations.double())
            errors += torch.rad2deg(angle).tolist()
    return {
        "low_pass_angstrom": resolution_angstrom,
        "particles_in_the_average": len(groups[0]) - len(groups[0]) // PARTS,
        "within_10_deg": sum(error < 10 for error in errors),
        "median_rotation_error_deg": round(float(torch.tensor(errors).median()), 2),
    }


def main() -> None:
    """Run, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3, help="runs from the particles alone")
    parser.add_argument("--work", type=Path, help="folder in which the runs are kept; by default a temporary one")
    parser.add_argument("--words", nargs="*", default=[], help="further words of the command")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    particles = read_particles(options.data / "particles.csv")
    particles = replace(particles, poses=true_poses(str(options.data / "poses.csv"), particles))
    everyone = list(range(len(particles)))
    record = {
        "listed poses, others of the half": [
            found_again(particles, [everyone[::2], everyone[1::2]], a) for a in FILTERS
        ],
        "listed poses, all others": [found_again(particles, [everyone], a) for a in FILTERS],
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or Path(temporary)
        reference = f"reference={options.data / 'reference.mrc'}"
        record["from the authors' average at 60 angstrom"] = [
            average(options.data, folder / "from_map", reference, *options.words)
        ]
        record["from the particles alone"] = [
            average(options.data, folder / f"alone_{seed}", f"seed={seed}", *options.words)
            for seed in range(options.seeds)
        ]
    for name, rows in record.items():
        for row in rows:
            print(f"{name}: {row}")
    what = " ".join([str(__doc__).splitlines()[0], *options.words])
    result = {"what": what, "versions": versions(), **record}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
