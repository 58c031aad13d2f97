"""CPU time of the fast simulator a particle, by box: figures into ``simulation_throughput.json`` beside this file.

    python experiments/benchmarks/simulation_throughput.py

One thread; the least of several rounds after a warm-up, since other programs only ever add time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from torchsag.imaging.placement import Coefficients, place_coefficients
from torchsag.runs.provenance import versions
from torchsag.simulation import FastPipeline, UniformPoses, density_of, ribosome_phantom
from torchsag.simulation.randomness import white_noise

PARTICLES, ROUNDS = 16, 7


def cpu_ms(work: Callable[[], object]) -> float:
    """Least CPU time of a call, milliseconds."""
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return round(1e3 * min(times), 2)


def measure(box: int, voxel_size: float) -> dict[str, float]:
    """Preparation once, and each particle's cost: all of it, its placement, its noise."""
    reference = density_of(ribosome_phantom(), box, voxel_size, 2.5 * voxel_size)
    pipeline, numbers = FastPipeline(0.1), range(PARTICLES)
    prepared, poses = pipeline.prepare(reference), UniformPoses(3.0).draw(0, numbers).to(torch.float32)
    chosen = Coefficients.inside(reference.box, wanted=prepared.wedge > 0)
    return {
        "prepare_ms": cpu_ms(lambda: pipeline.prepare(reference)),
        "particle_ms": round(cpu_ms(lambda: prepared(poses, numbers, 0)) / PARTICLES, 2),
        "of_it_placement_ms": round(
            cpu_ms(lambda: place_coefficients(prepared.reference, poses, chosen)) / PARTICLES, 2
        ),
        "of_it_noise_ms": round(cpu_ms(lambda: white_noise(0, numbers, reference.box)) / PARTICLES, 2),
    }


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    figures = {
        "versions": versions(),
        "device": "cpu, 1 thread",
        "boxes": {str(box): measure(box, 384 / box) for box in (32, 48, 64)},
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures["boxes"], indent=1))


if __name__ == "__main__":
    main()
