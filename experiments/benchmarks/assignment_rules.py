"""One turn of averaging, the same alignment: at which poses particles should enter, and how much.

    python experiments/benchmarks/assignment_rules.py [--seeds 0 1 2] [--particles 100]

Simulated particles (box 32, tilts to 60 degrees; SNR: variance of the signal over the box by that of the noise per
voxel, before the wedge) are aligned once to their structure, low-passed to 60 angstrom, and averaged by each rule.
`damped` also multiplies each coefficient of a particle by the expected coherence of its phase under the pose's
covariance, and its weight by the square of that. Judged is the sum over Fourier shells of the correlation with the
structure, by numpy alone: all shells, and those beyond the reference's, where particles alone can have brought it.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from hard_cases import shell_correlation, sphere

from torchsag.alignment.aligner import AlignmentResult
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging import MapSums
from torchsag.averaging.assignment import BestPose, Posterior
from torchsag.fourier import low_pass
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.reference import radius_of_gyration
from torchsag.likelihood.pose_shares import PoseShares
from torchsag.particles import DensityMap, GriddedParticles, ParticleBatch, of_unit_size
from torchsag.runs.provenance import versions
from torchsag.simulation.fast import simulate_particles
from torchsag.simulation.structures import GroelPhantom, RibosomePhantom
from torchsag.spectra.gather_tables import GatherTables

RESOLUTION = 60.0
MOST = 12
SETS = {
    "C1, SNR 0.003": (RibosomePhantom().density(32, 11.0), "C1", 0.003, 0.0),
    "C1, SNR 0.001": (RibosomePhantom().density(32, 11.0), "C1", 0.001, 0.0),
    "D7, SNR 0.003": (GroelPhantom().density(32, 9.0), "D7", 0.003, 0.0),
    "D7, SNR 0.001": (GroelPhantom().density(32, 9.0), "D7", 0.001, 0.0),
    "C1, SNR 0.003, a fifth shows nothing": (RibosomePhantom().density(32, 11.0), "C1", 0.003, 0.2),
}


@dataclass(frozen=True)
class Aligned:
    """Particles of a structure, their true poses, and what one alignment says of them."""

    structure: DensityMap
    symmetry: Symmetry
    particles: ParticleBatch
    true: Poses
    junk: int
    result: AlignmentResult


def aligned(name: str, seed: int, count: int) -> Aligned:
    """A set, simulated and aligned."""
    structure, group, snr, junk = SETS[name]
    particles, true = simulate_particles(structure, count, snr, seed=seed)
    shown, _ = simulate_particles(structure, count, math.inf, seed=seed)
    empty = round(junk * count)
    particles.spectra[:empty] -= shown.spectra[:empty]
    smooth = DensityMap(low_pass(structure.density, RESOLUTION, structure.voxel_size), structure.voxel_size)
    method = CurvatureSAGAligner(keep=(24, MOST), calibration_particles=0)
    prepared = method.prepare(smooth, Symmetry(group)).with_modes(MOST)
    return Aligned(structure, Symmetry(group), of_unit_size(particles), true, empty, prepared(particles))


def maps(some: Aligned) -> dict[str, DensityMap]:
    """An average by each rule."""
    result, halves = some.result, torch.arange(len(some.particles)) % 2 + 1
    assert result.modes is not None
    best = BestPose()(result.poses, result.modes, halves)
    several = {most: Posterior(MOST, 0.0)(result.poses, first(result, most).modes, halves) for most in (1, 2, 4, MOST)}
    renormed = PoseShares(several[4].poses, several[4].shares / several[4].shares.sum(1, keepdim=True))
    shown = (torch.arange(len(halves)) >= some.junk).float()[:, None]
    return {
        "true poses": summed(some, PoseShares(some.true[:, None], shown)),
        "best pose": summed(some, best),
        "best pose, if anything": summed(some, several[1]),
        "4 poses": summed(some, renormed),
        **{f"{most} poses, if anything": summed(some, several[most]) for most in (2, 4, MOST)},
        "best pose, damped": summed(some, best, damped=True),
        "4 poses, if anything, damped": summed(some, several[4], damped=True),
    }


def first(result: AlignmentResult, most: int) -> AlignmentResult:
    """With the best few modes alone."""
    modes = result.modes
    assert modes is not None
    kept = (part[:, :most] for part in (modes.poses.rotations, modes.poses.shifts))
    others = {name: getattr(modes, name)[:, :most] for name in ("gain", "amplitude", "log_share")}
    return replace(result, modes=replace(modes, poses=Poses(*kept), **others))


def summed(some: Aligned, at: PoseShares, damped: bool = False) -> DensityMap:
    """The average."""
    sums = MapSums.empty(some.structure.box, some.structure.voxel_size)
    if not damped:
        sums.add(some.particles, at.poses, shares=at.shares)
        return sums.finish(some.symmetry, floor=0.05)[0]
    gridded = GriddedParticles.of(some.particles)
    tables = GatherTables.of(gridded.spectra, gridded.weights, gridded.weight_index, sums.last_shell)
    for mode, share in enumerate(at.shares.mT):
        poses = at.poses[:, mode]
        value, weight = tables.at(poses, sums.sphere.index)
        coherence = phase_coherence(some, poses, sums.sphere.index)
        sums.numerator[0] += (share[:, None] * coherence * weight * value).sum(0)
        sums.denominator[0] += (share[:, None] * (coherence * weight).square()).sum(0)
    sums.counts[:] = len(some.particles)
    return sums.finish(some.symmetry, floor=0.05)[0]


def phase_coherence(some: Aligned, poses: Poses, points: torch.Tensor) -> torch.Tensor:
    """Mean of ``exp(i phase)`` over each pose's Gaussian, of density as far from the centre as the structure's is."""
    covariance = some.result.covariances
    turn, shift = covariance[:, :3, :3], covariance[:, 3:, 3:]
    # A turn w moves x by w x x; over places x alike in all directions that is r^2 / 3 (tr - w w^T).
    spread = radius_of_gyration(some.structure.density) ** 2 / 3
    trace = turn.diagonal(dim1=1, dim2=2).sum(-1)[:, None, None]
    moved = shift + spread * (trace * torch.eye(3) - turn)
    k = torch.einsum("pij,qj->pqi", poses.rotations.float(), points)
    phase = (2 * math.pi / some.structure.box[0]) ** 2 * torch.einsum("pqi,pij,pqj->pq", k, moved, k)
    return torch.exp(-0.5 * phase)


def judged(some: Aligned, made: DensityMap) -> tuple[float, float]:
    """Correlation with the structure summed over all shells, and over those beyond the reference's."""
    truth, mask = some.structure.density.numpy(), sphere(some.structure.box[0])
    curve = shell_correlation(made.density.numpy() * mask, truth * mask)
    beyond = math.ceil(some.structure.box[0] * some.structure.voxel_size / RESOLUTION) + 1
    return float(curve[1:].sum()), float(curve[beyond:].sum())


def main() -> None:
    """Every set and rule; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--particles", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in SETS:
        found: dict[str, list[tuple[float, float]]] = {}
        for seed in options.seeds:
            some = aligned(name, seed, options.particles)
            for rule, made in maps(some).items():
                found.setdefault(rule, []).append(judged(some, made))
        for rule, each in found.items():
            whole, beyond = np.round(np.array(each).T, 3).tolist()
            rows.append({"set": name, "rule": rule, "shells": whole, "shells_beyond_60_angstrom": beyond})
            print(f"{name:38s} {rule:30s} {np.mean(whole):6.2f} {np.mean(beyond):6.2f}", flush=True)
    record = {"what": str(__doc__).splitlines()[0], "versions": versions(), "particles": options.particles}
    text = json.dumps({**record, "seeds": options.seeds, "rows": rows}, indent=1)
    options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
