"""What `average` says of particles that are noise alone, and of particles of another structure than its map.

    python experiments/benchmarks/noise.py [--seeds 50]

Sixteen volumes a run, tilts to 60 degrees, two iterations: white noise (even seeds) or noise whose amplitude falls with
frequency (odd seeds), boxes of 32, 40, 48 or 64 voxels in turn, averaged from nothing and from a map of the ribosome
phantom; and the GroEL phantom at SNR 0.05, averaged from that map. A run is silent if its verdict is trust and the
resolution it claims is finer than the first low-pass. The result is a JSON file beside this one, to which more seeds
are added.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

import torchsag
from torchsag.fourier import half_frequencies
from torchsag.fourier.filters import apply_filter
from torchsag.particles import DensityMap, ParticleBatch, ParticleSet
from torchsag.runs.provenance import versions
from torchsag.simulation import density_of, groel_phantom, ribosome_phantom, simulate_particles

COUNT, BOXES, LOW_PASS = 16, (32, 40, 48, 64), 60.0


def noise(box: int, voxel_size: float, seed: int) -> ParticleSet:
    """Noise alone."""
    volumes = torch.randn(COUNT, box, box, box, generator=torch.Generator().manual_seed(seed))
    if seed % 2:
        volumes = apply_filter(volumes, 1 / (1 + 12 * half_frequencies((box, box, box)).norm(dim=-1)))
    return ParticleSet.from_arrays(volumes, voxel_size, tilt_range=(-60, 60))


def another(reference: DensityMap, seed: int) -> ParticleSet:
    """Particles of another structure in the same box."""
    other = density_of(groel_phantom(), reference.box[0], reference.voxel_size, reference.voxel_size)
    particles: ParticleBatch = simulate_particles(other, COUNT, 0.05, seed=seed)[0]
    return ParticleSet.from_batch(particles)


def run(kind: str, seed: int) -> dict:
    """What the command claims, and what its verdict says."""
    box = BOXES[seed // 2 % len(BOXES)]
    reference = density_of(ribosome_phantom(), box, 384 / box, 384 / box)
    particles = another(reference, seed) if kind == "another structure" else noise(box, reference.voxel_size, seed)
    found = torchsag.average(
        particles,
        reference=None if kind == "noise from nothing" else reference,
        iterations=2,
        initial_resolution_angstrom=LOW_PASS,
        seed=seed,
        device="cpu",
    )
    claimed = found.resolution_angstrom
    return {
        "seed": seed,
        "box": box,
        "resolution_angstrom": None if claimed == float("inf") else round(claimed, 1),
        "trust": found.verdict.trust,
        "codes": [finding.code for finding in found.verdict.findings],
        "silent": found.verdict.trust == "yes" and claimed < LOW_PASS,
    }


def main() -> None:
    """Every kind and seed that the JSON does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    kinds = ("noise from nothing", "noise from a map", "another structure")
    rows = json.loads(options.out.read_text(encoding="utf-8"))["rows"] if options.out.exists() else {}
    for seed in range(options.seeds):
        for kind in kinds:
            made = rows.setdefault(kind, [])
            if seed in [row["seed"] for row in made]:
                continue
            made.append(run(kind, seed))
            print(kind, made[-1], flush=True)
            counts = {
                name: {word: sum(row["trust"] == word for row in done) for word in ("yes", "doubt", "no")}
                | {"silent": sum(row["silent"] for row in done)}
                for name, done in rows.items()
            }
            record = {"what": str(__doc__).splitlines()[0], "versions": versions(), "counts": counts, "rows": rows}
            options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
