"""The default method with references that are not exact: taken at their word, and calibrated with the particles.

    python experiments/benchmarks/inexact_references.py [--particles 100] [--seed 11] [--calibration 0 24]

Simulated ribosome-sized particles, 64 voxels of 6 angstrom, tilts to +-60 degrees (SNR: variance of the signal over the
box by that of the noise per voxel, before the wedge). References: the exact map, the map low-passed to 60 angstrom, and
the unfiltered averages of 20 and of 100 other particles at their true poses. Errors are of particles within 10 degrees;
the ellipsoid is that of the pose's own 95 %, counted for poses as they are and without the one turn and shift that all
have in common: a reference of few particles lies a little beside the map, and no particle can know that. Intervals are
Wilson's, 95 %. Beside the errors stand those that the run expected and the bounds of Cramer and Rao, with the exact map
and with this reference, all root mean squares. CPU time counts the alignment alone, the calibration is given apart.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binomtest

from torchsag.alignment.aligner import AlignmentResult, calibrated, calibration_rows
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging import MapSums
from torchsag.evaluation import compare_poses
from torchsag.fourier import low_pass
from torchsag.geometry import Poses, Symmetry
from torchsag.io import write_text
from torchsag.likelihood.reference_bound import bound_with_reference
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.runs.provenance import versions
from torchsag.simulation.fast import simulate_particles
from torchsag.simulation.structures import RibosomePhantom

CHUNK = 64
WITHIN = 12.592  # squared radius of the 95 % ellipsoid in six dimensions


def main() -> None:
    """Every reference at two noise levels, with and without calibration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=100)
    parser.add_argument("--snrs", type=float, nargs="+", default=[0.01, 0.003])
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--calibration", type=int, nargs="+", default=[0, 24], help="particles to calibrate with")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    structure = RibosomePhantom().density(64, 6.0)
    rows = []
    for snr in options.snrs:
        particles, truth = simulate_particles(structure, options.particles, snr, seed=options.seed)
        for name, reference in references(structure, snr, options.seed + 1).items():
            for count in options.calibration:
                row = {"snr": snr, "reference": name, **judged(structure, reference, particles, truth, count)}
                rows.append(row)
                print(json.dumps(row), flush=True)
    record = {
        "what": str(__doc__).splitlines()[0],
        "date": date.today().isoformat(),
        "particles": options.particles,
        "seed": options.seed,
        "versions": versions(),
        "rows": rows,
    }
    write_text(options.out, json.dumps(record, indent=1) + "\n")


def references(structure: DensityMap, snr: float, seed: int) -> dict[str, DensityMap]:
    """What particles are aligned to, by name."""
    smooth = low_pass(structure.density, 60.0, structure.voxel_size)
    return {
        "exact": structure,
        "low-passed to 60 angstrom": DensityMap(smooth, structure.voxel_size),
        **{f"average of {count} others, unfiltered": average(structure, count, snr, seed) for count in (20, 100)},
    }


def average(structure: DensityMap, count: int, snr: float, seed: int) -> DensityMap:
    """Of other particles at their true poses."""
    others, poses = simulate_particles(structure, count, snr, seed=seed)
    sums = MapSums.empty(structure.box, structure.voxel_size)
    sums.add(others, poses)
    return sums.finish()[0]


def judged(
    structure: DensityMap, reference: DensityMap, particles: ParticleBatch, truth: Poses, count: int
) -> dict[str, Any]:
    """Errors, calibration and time of one alignment."""
    prepared = CurvatureSAGAligner(calibration_particles=count).prepare(reference, Symmetry("C1"))
    began = time.process_time()
    rows = torch.tensor(list(calibration_rows(prepared, len(particles))), dtype=torch.long)
    prepared = calibrated(prepared, particles[rows]) if len(rows) else prepared
    ready = time.process_time()
    chunks = [range(k, min(k + CHUNK, len(particles))) for k in range(0, len(particles), CHUNK)]
    result = AlignmentResult.concatenate([prepared(particles.take(chunk)) for chunk in chunks])
    spent = time.process_time() - ready
    errors = compare_poses(result.poses, truth, Symmetry("C1"))
    close = errors.rotation_deg < 10
    move, certainty = result.poses.move_to(truth).double(), torch.linalg.inv(result.covariances.double())
    apart = move - common(move, certainty, truth)
    return {
        "calibration_particles": count,
        "within_10_deg": int(close.sum()),
        "median_rotation_error_deg": round(float(errors.rotation_deg.quantile(0.5)), 3),
        "rms_rotation_error_deg": round(float(errors.rotation_deg[close].square().mean().sqrt()), 3),
        "expected_rms_rotation_error_deg": rms_deg(result.covariances),
        "bound_with_this_reference_deg": rms_deg(bound_with_reference(particles, structure, reference, truth)),
        "bound_with_exact_reference_deg": rms_deg(bound_with_reference(particles, structure, structure, truth)),
        **inside(move, certainty, "inside_95_percent_ellipsoid"),
        **inside(apart, certainty, "inside_without_common_offset"),
        "calibration_cpu_seconds": round(ready - began, 2),
        "cpu_ms_per_particle": round(1e3 * spent / len(particles), 1),
    }


def rms_deg(covariances: torch.Tensor) -> float:
    """Root mean square of the rotations' lengths, degrees."""
    squares = covariances.diagonal(dim1=1, dim2=2)[:, :3].sum(1)
    return round(math.degrees(float(squares.nanmean().sqrt())), 3)


def inside(move: torch.Tensor, certainty: torch.Tensor, name: str) -> dict[str, Any]:
    """How many errors lie in their own ellipsoids."""
    found = int((torch.einsum("pi,pij,pj->p", move, certainty, move) < WITHIN).sum())
    interval = binomtest(found, len(move)).proportion_ci(method="wilson")
    return {name: found, f"{name}_interval": [round(float(end), 3) for end in interval]}


def common(move: torch.Tensor, certainty: torch.Tensor, truth: Poses) -> torch.Tensor:
    """The one turn and shift in the reference's frame that fits all errors best, as each particle would show it."""
    frame = torch.zeros(len(move), 6, 6, dtype=torch.float64)
    frame[:, :3, :3] = frame[:, 3:, 3:] = truth.rotations.double()
    weight = frame.mT @ certainty
    offset = torch.linalg.solve((weight @ frame).sum(0), (weight @ move[..., None]).sum(0))
    return (frame @ offset)[..., 0]


if __name__ == "__main__":
    main()
