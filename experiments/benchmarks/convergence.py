"""How near each optimizer comes to the optimum after how many passes over the data.

    python experiments/benchmarks/convergence.py [--particles 20] [--snr 0.01]

Simulated ribosome-sized particles, 64^3 voxels of 6 angstrom, +-60 degrees. Every optimizer starts 7 degrees and one
voxel from the truth and minimises the same sum over tilt-axis slices. The optimum is where Levenberg-Marquardt ends
with a generous budget; distances to it are root mean squares in units of the Cramer-Rao bound. A pass is one evaluation
of every slice, gradients and values alike. The result is a JSON file beside this one.
"""

from __future__ import annotations

import argparse
import json
import math
from datetime import date
from pathlib import Path

import torch

from torchsag.geometry import Poses, random_rotations, rotvec_to_matrix
from torchsag.geometry.rotations import matrix_to_rotvec
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.io import write_text
from torchsag.likelihood.fisher import cramer_rao_bound
from torchsag.losses.constrained_distance import ConstrainedDistance
from torchsag.optim import (
    CurvatureSAG,
    LevenbergMarquardt,
    Preconditioned,
    SAGMinibatch,
    SAGOneTerm,
    Whitening,
    minimize,
)
from torchsag.runs.provenance import versions
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.slices.around import objective_around
from torchsag.slices.matching import match_parts
from torchsag.slices.planes import TiltAxisSlices
from torchsag.slices.slice_objective import UNKNOWNS

_RESOLUTION_ANGSTROM = 30.0


def main() -> None:
    """Print a table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--particles", type=int, default=20)
    parser.add_argument("--snr", type=float, default=0.01)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    reference = density_of(ribosome_phantom(), 64, 6.0, 12.0)
    particles, truth = simulate_particles(reference, options.particles, options.snr, max_shift=3.0, seed=11)
    bound = cramer_rao_bound(particles, reference, truth, float(reference.density.var(correction=0)) / options.snr)
    comparison = match_parts(
        particles, reference, ConstrainedDistance(), TiltAxisSlices(), CubicSpline(), _RESOLUTION_ANGSTROM
    )
    index = torch.arange(options.particles)
    start = displaced(truth)
    objective = objective_around(comparison, start, index)
    unmoved = start.shifts.new_zeros(options.particles, UNKNOWNS)
    optimum = start.retract(minimize(LevenbergMarquardt(tolerance=1e-5), objective, unmoved, 60.0).move[:, :6])
    rows = []
    for name, optimizer in optimizers().items():
        for budget in (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0):
            ended = minimize(optimizer, objective, unmoved, budget)
            poses = start.retract(ended.move[:, :6])
            rotation, shift = distance(poses, optimum, bound)
            error_deg = math.degrees(
                float(matrix_to_rotvec(poses.rotations @ truth.rotations.mT).norm(dim=-1).median())
            )
            rows.append(
                {
                    "optimizer": name,
                    "budget": budget,
                    "passes": float(ended.settled_after.median()),
                    "rotation_from_optimum_over_bound": rotation,
                    "shift_from_optimum_over_bound": shift,
                    "median_rotation_error_deg": error_deg,
                }
            )
            print(
                f"{name:>34} budget {budget:4.0f}  passes {rows[-1]['passes']:5.1f}"
                f"  from optimum / bound: rotation {rotation:7.3f} shift {shift:7.3f}  error {error_deg:.2f} deg",
                flush=True,
            )
            if bool(ended.converged.all()):
                break
    record = {
        "what": __doc__.splitlines()[0],
        "date": date.today().isoformat(),
        "snr": options.snr,
        "particles": options.particles,
        "versions": versions(),
        "rows": rows,
    }
    write_text(options.out, json.dumps(record, indent=1) + "\n")


def optimizers() -> dict:
    """The paper's two algorithms, ours, and the yardsticks."""

    def algorithm_2(fraction: float) -> Preconditioned:
        return Preconditioned(SAGMinibatch(batch_fraction=fraction, tolerance=0.03), Whitening())

    return {
        "SAG, Algorithm 1": Preconditioned(SAGOneTerm(tolerance=0.03), Whitening()),
        "SAG, Algorithm 2, batches of 1/16": Preconditioned(
            SAGMinibatch(batch_fraction=1 / 16, tolerance=0.03), Whitening()
        ),
        "SAG, Algorithm 2, batches of 1/8": Preconditioned(
            SAGMinibatch(batch_fraction=1 / 8, tolerance=0.03), Whitening()
        ),
        "SAG, Algorithm 2, batches of 1/2": Preconditioned(
            SAGMinibatch(batch_fraction=1 / 2, tolerance=0.03), Whitening()
        ),
        "SAG with curvature, batches of 1/8": Preconditioned(CurvatureSAG(1 / 8, tolerance=0.03), Whitening()),
        "Gauss-Newton": Preconditioned(CurvatureSAG(1.0, tolerance=0.03), Whitening()),
        "Levenberg-Marquardt": Preconditioned(LevenbergMarquardt(tolerance=0.03), Whitening()),
    }


def displaced(truth: Poses) -> Poses:
    """Seven degrees about random axes and one voxel in random directions away."""
    generator = torch.Generator().manual_seed(5)
    axes = random_rotations(len(truth), generator)
    turns = rotvec_to_matrix(math.radians(7.0) * axes[:, :, 0])
    return Poses(turns @ truth.rotations, truth.shifts + axes[:, :, 1])


def distance(poses: Poses, optimum: Poses, bound: torch.Tensor) -> tuple[float, float]:
    """Root mean squared distances of rotation and shift, divided by the bound's."""
    move = optimum.move_to(poses).double()
    variance = bound.double().diagonal(dim1=-2, dim2=-1)
    parts = (slice(0, 3), slice(3, 6))
    rotation, shift = (
        float((move[:, p].square().sum(-1).mean() / variance[:, p].sum(-1).mean()).sqrt()) for p in parts
    )
    return rotation, shift


if __name__ == "__main__":
    main()
