"""The default method with references that are not exact: taken at their word, and calibrated with the particles.

    python experiments/benchmarks/inexact_references.py [--particles 100]

Simulated ribosome-sized particles, 64 voxels of 6 angstrom, tilts to +-60 degrees (SNR: variance of the signal over the
box by that of the noise per voxel, before the wedge). References: the exact map, the map low-passed to 60 angstrom, and
the unfiltered averages of 20 and of 100 other particles at their true poses. Errors are of particles within 10 degrees;
the ellipsoid is that of the pose's own 95 %; CPU time counts the alignment alone, the calibration is given apart.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch

from torchsag.alignment.aligner import AlignmentResult, calibrated, calibration_rows
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging import MapSums
from torchsag.evaluation import compare_poses
from torchsag.fourier import low_pass
from torchsag.geometry import Poses, Symmetry
from torchsag.io import write_text
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.runs.provenance import versions
from torchsag.simulation.fast import simulate_particles
from torchsag.simulation.structures import RibosomePhantom

WITHIN = 12.592  # squared radius of the 95 % ellipsoid in six dimensions


def main() -> None:
    """Every reference at two noise levels, with and without calibration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=100)
    parser.add_argument("--snrs", type=float, nargs="+", default=[0.01, 0.003])
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    structure = RibosomePhantom().density(64, 6.0)
    rows = []
    for snr in options.snrs:
        particles, truth = simulate_particles(structure, options.particles, snr, seed=options.seed)
        for name, reference in references(structure, snr, options.seed + 1).items():
            for count in (0, 24):
                row = {"snr": snr, "reference": name, **judged(reference, particles, truth, count)}
                rows.append(row)
                print(json.dumps(row), flush=True)
    record = {
        "what": __doc__.splitlines()[0],
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


def judged(reference: DensityMap, particles: ParticleBatch, truth: Poses, count: int) -> dict[str, Any]:
    """Errors, calibration and time of one alignment."""
    prepared = CurvatureSAGAligner(calibration_particles=count).prepare(reference, Symmetry("C1"))
    began = time.process_time()
    rows = torch.tensor(list(calibration_rows(prepared, len(particles))), dtype=torch.long)
    prepared = calibrated(prepared, particles[rows]) if len(rows) else prepared
    ready = time.process_time()
    result: AlignmentResult = prepared(particles)
    spent = time.process_time() - ready
    errors = compare_poses(result.poses, truth, Symmetry("C1"))
    close = errors.rotation_deg < 10
    move = result.poses.move_to(truth).double()
    squared = torch.einsum("pi,pij,pj->p", move, torch.linalg.inv(result.covariances.double()), move)
    return {
        "calibration_particles": count,
        "within_10_deg": int(close.sum()),
        "median_rotation_error_deg": round(float(errors.rotation_deg.quantile(0.5)), 3),
        "rms_rotation_error_deg": round(float(errors.rotation_deg[close].square().mean().sqrt()), 3),
        "inside_95_percent_ellipsoid": int((squared < WITHIN).sum()),
        "calibration_cpu_seconds": round(ready - began, 2),
        "cpu_ms_per_particle": round(1e3 * spent / len(particles), 1),
    }


if __name__ == "__main__":
    main()
