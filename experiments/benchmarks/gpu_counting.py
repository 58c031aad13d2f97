"""What a GPU would be asked to do to align a chunk: launches, bytes, waits, memory; and the kernel as it is compiled.

    python experiments/benchmarks/gpu_counting.py          # no GPU needed; a minute; writes gpu_counting.json

Nothing is timed. The default method runs on tensors that say they are on a GPU and are computed on the CPU
(`pretended_gpu`); each operation of torch counts as one launch, and its bytes as if nothing stayed in any cache, once
with the fused kernel and once with its twin in plain torch. The phantom of the README, D7, 64^3 voxels of 6 angstrom,
SNR 0.01, one chunk. From that follows the time that the counted work takes on a card of given bandwidth, if each launch
takes a given time and nothing else is in the way: an estimate, no measurement.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import triton
from pretended_gpu import Counts, OnGPU, pretended_gpu

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Symmetry
from torchsag.likelihood.fourier_triton import compiled_for
from torchsag.runs.provenance import versions
from torchsag.simulation import density_of, groel_phantom, simulate_particles

_BOX, _VOXEL, _SNR = 64, 6.0, 0.01


@dataclass(frozen=True)
class Assumed:
    """What is taken of a card that is not here.

    Attributes
    ----------
    bytes_per_second
        NVIDIA's data sheet of the H100 SXM: 3.35 TB/s.
    launch_seconds
        From one operation of torch to the next, in Python, without waiting.
    wait_seconds
        Each time that the program waits for the card.
    """

    bytes_per_second: float = 3.35e12
    launch_seconds: float = 1e-5
    wait_seconds: float = 5e-5


def counted(particles: int, fused: bool) -> dict[str, float]:
    """One chunk by the default method, after a smaller one that fills what is kept."""
    reference = density_of(groel_phantom(), _BOX, _VOXEL)
    batch, _ = simulate_particles(reference, particles, _SNR, -60.0, 60.0, max_shift=4.0, seed=1)
    with pretended_gpu(fused=fused):
        method = CurvatureSAGAligner().prepare(reference, Symmetry("D7"), "cuda")
        method(batch[:2].to("cuda"))
        with torch.inference_mode(False):
            there = batch.to("cuda")
        counts = OnGPU.counts = Counts()
        counts.watch_memory()
        method(there)
    found = counts.summary
    return {
        "particles": particles,
        "launches": found["launches"],
        "waits": found["waits"],
        "megabytes_a_particle": found["bytes"] / particles / 1e6,
        "of_it_block_sums": counts.bytes["block_sums"] / found["bytes"] if fused else None,
        "peak_megabytes_a_particle": counts.peak / particles / 1e6,
        "coefficients_a_particle": counts.coefficients / particles,
    }


def estimate(chunk: int, small: dict, large: dict, assumed: Assumed) -> dict[str, float]:
    """Particles a second of a chunk; launches grow with the chunk as between two that were counted."""

    def at(name: str) -> float:
        slope = (large[name] - small[name]) / (large["particles"] - small["particles"])
        return large[name] + slope * (chunk - large["particles"])

    seconds = at("launches") * assumed.launch_seconds + at("waits") * assumed.wait_seconds
    traffic = large["megabytes_a_particle"] * 1e6 / assumed.bytes_per_second
    return {
        "chunk": chunk,
        "launches": round(at("launches")),
        "microseconds_a_particle_of_launches_and_waits": 1e6 * seconds / chunk,
        "microseconds_a_particle_of_traffic": 1e6 * traffic,
        "particles_per_second_at_most": 1 / (traffic + seconds / chunk),
    }


def compiled(capability: int, order: int, lanes: int, warps: int) -> dict[str, int | str]:
    """Registers, stack and shared memory of the kernel, read from the assembled code."""
    kernel = compiled_for(capability, order, lanes, warps)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        run = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    fields = dict(part.split(":")[:2] for part in run.stdout.split("Function")[-1].split() if part.count(":") == 1)
    return {
        "capability": capability, "order": order, "lanes": lanes, "warps": warps, "registers": int(fields["REG"]),
        "stack_bytes": int(fields["STACK"]), "local_bytes": int(fields["LOCAL"]),
        "shared_bytes": int(fields["SHARED"]), "loads": kernel.asm["ptx"].count("ld.global"),
    }  # fmt: skip


def main() -> None:
    """Count, estimate, compile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    out = parser.parse_args().out
    torch.set_num_threads(1)
    twin, small, large = counted(8, False), counted(8, True), counted(64, True)
    assumed = Assumed()
    table = {
        "versions": {**versions(), "triton": triton.__version__},
        "plain torch": twin,
        "fused": [small, large],
        "assumed": asdict(assumed),
        "estimates": [estimate(chunk, small, large, assumed) for chunk in (64, 256, 1024)],
        "compiled": [
            compiled(capability, order, lanes, warps)
            for capability in (80, 90)
            for order in (0, 1, 2)
            for lanes, warps in ((32, 1), (128, 4))
        ],
    }
    out.write_text(json.dumps(table, indent=1) + "\n")
    for row in (twin, small, large, *table["estimates"]):
        print({name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()})


if __name__ == "__main__":
    main()
