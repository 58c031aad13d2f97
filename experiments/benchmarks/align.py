"""Accuracy, success, cost and calibration of alignment methods on simulated particles, beside the Cramer-Rao bound.

    python experiments/benchmarks/align.py                        # the default table, 64^3, all SNRs
    python experiments/benchmarks/align.py --boxes 32 64 96 128   # how cost grows with the box
    python experiments/benchmarks/align.py --candidates 12 24 48  # and with the number of candidates
    python experiments/benchmarks/align.py --methods curvature_sag sag --snrs 0.1 0.01 0.003 --particles 20
    python experiments/benchmarks/align.py --set method.search.num_candidates=48   # any setting of the method
    python experiments/benchmarks/align.py --beside OLDER.json    # ratios to what another commit took here just before

Particles are simulated by the fast pipeline (SNR: variance of the signal over the box by the noise variance per voxel,
before the wedge), written to disk, and aligned from disk with the exact reference and no prior pose. CPU seconds count
reading, transforms, search and refinement, by one thread, after a warm-up on the first chunk; what a method learns from
some particles before (calibration) is given apart, for the whole run. Results go into a JSON
file beside this one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import platform
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.app.components import build
from torchsag.app.composition import compose_command
from torchsag.evaluation import compare_poses
from torchsag.fourier import pad, resample
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.reference import isolated
from torchsag.io import read_map, read_particles, write_map, write_text
from torchsag.likelihood.fisher import cramer_rao_bound
from torchsag.particles import DensityMap
from torchsag.runs.calibration import calibrated_with
from torchsag.runs.provenance import versions
from torchsag.simulation import density_of, groel_phantom, ribosome_phantom, simulate_particles
from torchsag.timing import StageClock

_CHUNK = 50
_SUCCESS_DEG = 10.0


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    structure: str
    method: str
    snr: float
    tilt: float
    box: int
    candidates: int | None


def main() -> None:
    """Run all cases, print a line for each, write the JSON."""
    options = _options()
    torch.set_num_threads(options.threads)
    rows = []
    for structure in options.structures:
        for box in options.boxes:
            reference, symmetry = _structure(structure, box)
            for tilt in options.tilts:
                for snr in options.snrs:
                    with tempfile.TemporaryDirectory() as folder:
                        truth, bound = _particles(Path(folder), reference, snr, tilt, options)
                        for method, candidates in itertools.product(options.methods, options.candidates):
                            case = Case(structure, method, snr, tilt, box, candidates)
                            rows.append(_run(case, Path(folder), reference, symmetry, truth, bound, options))
                            print(_line(rows[-1]), flush=True)
    older = _beside(options.beside, rows)
    record = {
        "what": __doc__.splitlines()[0],
        "date": date.today().isoformat(),
        "commit": _commit(),
        "machine": {"processor": platform.machine(), "threads": options.threads, "device": options.device},
        "versions": versions(),
        "particles": options.particles,
        "settings": options.set,
        **older,
        "rows": rows,
    }
    write_text(options.out, json.dumps(record, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["curvature_sag"])
    parser.add_argument("--structures", nargs="+", default=["ribosome"], help="ribosome, sharp, groel, or a map file")
    parser.add_argument("--snrs", nargs="+", type=float, default=[0.1, 0.03, 0.01, 0.003])
    parser.add_argument("--tilts", nargs="+", type=float, default=[60.0], help="half the tilt range, degrees")
    parser.add_argument("--boxes", nargs="+", type=int, default=[64])
    parser.add_argument("--candidates", nargs="+", type=int, default=[None], help="poses that the search hands on")
    parser.add_argument("--particles", type=int, default=200)
    parser.add_argument("--max-shift", type=float, default=0.0625, help="radius of the shifts, as a part of the box")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", nargs="*", default=[], help="settings as for torchsag align, such as method.margin=20")
    parser.add_argument("--beside", type=Path, help="what the same command left with another commit on this machine")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    return parser.parse_args()


def _structure(name: str, box: int) -> tuple[DensityMap, Symmetry]:
    """A structure in a box whose extent is that of 64 voxels of 6 angstrom, or a map file resampled to the box."""
    if name == "ribosome":
        return density_of(ribosome_phantom(), box, 384 / box, 12.0), Symmetry("C1")
    if name == "sharp":  # the same in voxels of 10 angstrom, without any blur: information up to the Nyquist limit
        return density_of(ribosome_phantom(), box, 640 / box), Symmetry("C1")
    if name == "groel":
        return density_of(groel_phantom(), box, 384 / box, 3.0), Symmetry("D7")
    given = read_map(name)
    edge = max(*given.box, box)
    density = isolated(pad(given.density, (edge, edge, edge)))
    return DensityMap(resample(density, (box, box, box)), given.voxel_size * edge / box), Symmetry("C1")


def _particles(
    folder: Path, reference: DensityMap, snr: float, tilt: float, options: argparse.Namespace
) -> tuple[Poses, torch.Tensor]:
    """Write the particles; return their true poses and the bound on their covariance."""
    poses, bounds = [], []
    variance = float(reference.density.var(correction=0)) / snr
    for start in range(0, options.particles, _CHUNK):
        count = min(_CHUNK, options.particles - start)
        batch, true = simulate_particles(
            reference, count, snr, -tilt, tilt, options.max_shift * reference.box[0], options.seed, start
        )
        for k, volume in enumerate(batch.volumes):
            write_map(folder / f"particle_{start + k:05d}.mrc", DensityMap(volume, reference.voxel_size))
        poses.append(true)
        bounds.append(cramer_rao_bound(batch, reference, true, variance))
    return Poses.concatenate(poses), torch.cat(bounds)


def _run(
    case: Case,
    folder: Path,
    reference: DensityMap,
    symmetry: Symmetry,
    truth: Poses,
    bound: torch.Tensor,
    options: argparse.Namespace,
) -> dict:
    particles = read_particles(str(folder / "*.mrc"), tilt_min_deg=-case.tilt, tilt_max_deg=case.tilt)
    words = ["particles=p", "reference=r", "out=o", f"method={case.method}", *options.set]
    if case.candidates is not None:
        words.append(f"method.search.num_candidates={case.candidates}")
    method = build(compose_command("align", words)["method"])
    begun = time.process_time()
    aligner = method.prepare(reference, symmetry, options.device)
    prepared = time.process_time() - begun
    aligner(particles.load(range(min(_CHUNK, len(particles))), options.device))  # compiles and warms up
    begun = time.process_time()
    aligner = calibrated_with(aligner, particles, torch.device(options.device))
    calibrating = time.process_time() - begun
    parts = []
    with StageClock() as clock:
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, len(particles), _CHUNK):
            rows = range(start, min(start + _CHUNK, len(particles)))
            parts.append(aligner(particles.load(rows, options.device)).to("cpu"))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    count = len(particles)
    return {
        **vars(case),
        **_accuracy(AlignmentResult.concatenate(parts), truth, bound, symmetry),
        "cpu_seconds_per_particle": cpu / count,
        "wall_seconds_per_particle": wall / count,
        "prepare_cpu_seconds": prepared,
        "calibration_cpu_seconds": calibrating,
        "stage_cpu_ms": {name: 1000 * spent / count for name, spent in clock.cpu_seconds.items()},
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _accuracy(result: AlignmentResult, truth: Poses, bound: torch.Tensor, symmetry: Symmetry) -> dict:
    errors = compare_poses(result.poses, truth, symmetry)
    found = errors.rotation_deg < _SUCCESS_DEG
    variance = bound.double().diagonal(dim1=-2, dim2=-1)
    rotation_bound = math.degrees(float(variance[found, :3].sum(-1).mean().sqrt()))
    shift_bound = float(variance[found, 3:].sum(-1).mean().sqrt())
    rotation = errors.rotation_deg[found].double()
    shift = errors.shift_voxels[found].double()
    nearest = Poses(symmetry.nearest(result.poses.rotations, truth.rotations), result.poses.shifts)
    move = nearest.move_to(truth).double()
    distance = (move[:, None] @ torch.linalg.pinv(result.covariances.double().nan_to_num()) @ move[..., None])[:, 0, 0]
    has_covariance = bool(result.covariances.isfinite().all())
    return {
        "success": float(found.double().mean()),
        "median_rotation_deg": float(errors.rotation_deg.median()),
        "median_shift_voxels": float(errors.shift_voxels.median()),
        "rms_rotation_deg": float(rotation.square().mean().sqrt()),
        "rms_shift_voxels": float(shift.square().mean().sqrt()),
        "bound_rotation_deg": rotation_bound,
        "bound_shift_voxels": shift_bound,
        "rotation_over_bound": float(rotation.square().mean().sqrt()) / rotation_bound,
        "shift_over_bound": float(shift.square().mean().sqrt()) / shift_bound,
        # A chi-squared variable of six degrees of freedom has mean 6 and lies below 12.592 in 95 % of cases.
        "mahalanobis": float(distance[found].mean()) if has_covariance else None,
        "inside_95": float((distance < 12.592).double().mean()) if has_covariance else None,
    }


def _line(row: dict) -> str:
    calibration = "-" if row["mahalanobis"] is None else f"{row['mahalanobis']:.2f} {100 * row['inside_95']:.0f}%"
    return (
        f"{Path(row['structure']).name[:10]:>10} {row['method']:>16} box {row['box']:>3}"
        f"{'' if row['candidates'] is None else ' candidates ' + str(row['candidates'])}"
        f" tilt {row['tilt']:.0f} snr {row['snr']:<6g} success {row['success']:.3f}"
        f"  median {row['median_rotation_deg']:.2f} deg {row['median_shift_voxels']:.3f} vx"
        f"  rms/bound {row['rotation_over_bound']:.2f} {row['shift_over_bound']:.2f}  calibration {calibration}"
        f"  {1000 * row['cpu_seconds_per_particle']:.1f} ms CPU  {row['peak_memory_mib']:.0f} MiB"
    )


def _beside(older: Path | None, rows: list[dict]) -> dict:
    """Give each row what another commit took for it; which commit that was."""
    if older is None:
        return {}
    record = json.loads(older.read_text())
    names = ("structure", "method", "snr", "tilt", "box", "candidates")
    known = {tuple(row[name] for name in names): row for row in record["rows"]}
    for row in rows:
        other = known[tuple(row[name] for name in names)]
        row["before"] = {name: other[name] for name in row if name.endswith(("seconds_per_particle", "cpu_seconds"))}
        row["before"] |= {name: other[name] for name in row if name.endswith(("over_bound", "success"))}
    return {"before": {"commit": record["commit"], "date": record["date"]}}


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
