"""align, average and classify on a GPU beside one thread of a CPU: speed, agreement of poses, memory.

    python experiments/benchmarks/gpu.py                       # a machine with a card; some minutes; writes gpu.json
    python experiments/benchmarks/gpu.py --device cpu --particles 16 --box 24       # dry run without a card

Carries what it needs: particles are simulated (the phantom of the README, D7, SNR 0.01, tilts to +-60 degrees). torch
of 2.11 or later. Wall seconds of whole commands from Python, the device synchronised before the clock is read, after a
short run of each that compiles and fills what is kept; the CPU takes fewer particles, with one thread. Poses agree
where rotation (radians) and shift (voxels) differ by less than 1e-4. Beside the commands, `align` of one chunk in
memory, and the fused kernel alone against its twin in plain torch.

Exits with 2 where there is no card and none was done without.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import torchsag
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.likelihood.fourier_blocks import _raw_sums, reference_block_sums
from torchsag.likelihood.observations import observe
from torchsag.particles import DensityMap, ParticleBatch, ParticleSet
from torchsag.runs.provenance import versions
from torchsag.simulation import density_of, groel_phantom, simulate_particles
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

_SNR, _SAME = 0.01, 1e-4
_GROUP = "D7"
_SQUARES = [0, 1, 14, 20, 25, 29, 32, 34]  # of the sums: cross, energy, the Gauss-Newton block's diagonal


def seconds(work: Callable[[], object], device: torch.device) -> tuple[float, object]:
    """Wall seconds of some work, and what came out."""
    _synchronise(device)
    began = time.perf_counter()
    found = work()
    _synchronise(device)
    return time.perf_counter() - began, found


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def commands(reference: DensityMap, chunk: int) -> dict[str, Callable[[ParticleSet, str], object]]:
    """What users call."""
    near = {"start": "listed_poses", "symmetry": _GROUP, "chunk": chunk}
    loop = {"iterations": 2, "converged_deg": 0, "patience": 99}
    return {
        "align": lambda some, device: torchsag.align(some, reference, symmetry=_GROUP, device=device, chunk=chunk),
        "average": lambda some, device: torchsag.average(
            some, method="curvature_sag_local", device=device, **near, **loop
        ),
        "classify": lambda some, device: torchsag.classify(some, classes=4, device=device, repeats=1, **near),
    }


def in_memory(reference: DensityMap, batch: ParticleBatch, device: torch.device) -> dict[str, float]:
    """The default method on one chunk that lies on the device."""
    method = CurvatureSAGAligner().prepare(reference, Symmetry(_GROUP), device)
    there = batch.to(device)
    method(there)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    spent, _ = seconds(lambda: method(there), device)
    row = {"particles": len(batch), "particles_per_second": len(batch) / spent}
    if device.type == "cuda":
        row["peak_megabytes"] = torch.cuda.max_memory_allocated(device) / 1e6
    return row


def kernel(reference: DensityMap, batch: ParticleBatch, device: torch.device) -> dict[str, float]:
    """Coefficients a second with all derivatives, four poses a particle; the largest deviation from the twin."""
    shell = reference.box[0] // 4
    band = FourierBand.of(reference.box[0], shell, 8, device)
    table = FourierTable.from_density(reference.density.to(device), shell)
    observed = observe(batch.to(device), band)
    count = 4 * len(batch)
    rotations = random_rotations(count, torch.Generator().manual_seed(1), torch.float32).to(device)
    poses = Poses(rotations, torch.zeros(count, 3, device=device))
    particle = torch.arange(len(batch), device=device).repeat_interleave(4)
    problem = (band, observed, poses, particle, torch.arange(8))
    row: dict[str, float] = {"poses": count, "coefficients_a_pose": len(band)}
    results = {}
    for name, sums, samples in (("fused", _raw_sums, table), ("twin", reference_block_sums, table.rounded)):
        sums(samples, *problem)
        spent, results[name] = seconds(lambda sums=sums, samples=samples: sums(samples, *problem), device)
        row[f"{name}_coefficients_per_second"] = count * len(band) / spent
    fused, twin = (results[name][..., _SQUARES] for name in ("fused", "twin"))
    row["largest_relative_deviation"] = float(((fused - twin).abs().amax((0, 1)) / twin.abs().amax((0, 1))).max())
    return row


def agreement(one: Poses, other: Poses) -> dict[str, float]:
    """How far two devices are apart."""
    turned = (one.rotations.double() - other.rotations.double()).flatten(1).norm(dim=1) / 2**0.5
    moved = (one.shifts.double() - other.shifts.double()).norm(dim=1)
    same = (turned < _SAME) & (moved < _SAME)
    return {
        "same": int(same.sum()), "of": len(same), "median_radians": float(turned.median()),
        "median_voxels": float(moved.median()), "largest_radians": float(turned.max()),
        "largest_voxels": float(moved.max()),
    }  # fmt: skip


def measure(arguments: argparse.Namespace, device: torch.device) -> dict:
    """Everything, on simulated particles."""
    reference = density_of(groel_phantom(), arguments.box, 384.0 / arguments.box)
    batch, poses = simulate_particles(
        reference, arguments.particles, _SNR, -60.0, 60.0, max_shift=arguments.box / 16, seed=1
    )
    everyone = ParticleSet.from_arrays(batch.volumes, batch.voxel_size, tilt_range=(-60.0, 60.0), poses=poses)
    few = everyone[: min(arguments.cpu_particles, len(everyone))]
    rows: dict[str, dict] = {}
    found: dict[str, object] = {}
    for name, command in commands(reference, arguments.chunk).items():
        command(few[:8], str(device))
        command(few[:8], "cpu")
        spent, whole = seconds(lambda command=command: command(everyone, str(device)), device)
        alone, part = seconds(lambda command=command: command(few, "cpu"), torch.device("cpu"))
        rows[name] = {
            "particles": len(everyone), "seconds": spent, "particles_per_second": len(everyone) / spent,
            "cpu_particles": len(few), "cpu_particles_per_second": len(few) / alone,
            "faster": (alone / len(few)) / (spent / len(everyone)),
        }  # fmt: skip
        print(
            f"{name:10} {len(everyone) / spent:10.1f} particles/s   one CPU thread {len(few) / alone:8.1f}   "
            f"{rows[name]['faster']:.1f} times", flush=True,
        )  # fmt: skip
        found[name] = (whole, part)
    whole, part = found["align"]
    table = {
        "commands": rows,
        "agreement": agreement(whole.poses[torch.arange(len(few))], part.poses),
        "in_memory": in_memory(reference, batch[: arguments.chunk], device),
        "kernel": kernel(reference, batch[: min(len(batch), 64)], device),
    }
    for name in ("agreement", "in_memory", "kernel"):
        print(name, {key: float(f"{value:.4g}") for key, value in table[name].items()}, flush=True)
    return table


def card(device: torch.device) -> dict[str, str | float]:
    """What was measured on."""
    if device.type == "cpu":
        return {"device": "cpu", "machine": platform.machine()}
    properties = torch.cuda.get_device_properties(device)
    return {
        "device": properties.name, "capability": f"{properties.major}.{properties.minor}",
        "gigabytes": properties.total_memory / 1e9,
    }  # fmt: skip


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--particles", type=int, default=2048)
    parser.add_argument("--cpu-particles", type=int, default=64)
    parser.add_argument("--chunk", type=int, default=1024)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--out", type=Path, help="gpu.json here; nothing is written of a dry run unless it is given")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        print(
            f"gpu.py: expected the GPU {arguments.device}, torch finds {torch.cuda.device_count()}; "
            "run it on a machine with a card, or --device cpu for a dry run", file=sys.stderr,
        )  # fmt: skip
        return 2
    torch.set_num_threads(1)
    table = {"versions": versions(), **card(device), "box": arguments.box, "chunk": arguments.chunk, "snr": _SNR}
    table |= measure(arguments, device)
    out = arguments.out or (None if device.type == "cpu" else Path(__file__).with_suffix(".json"))
    if out is not None:
        out.write_text(json.dumps(table, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
