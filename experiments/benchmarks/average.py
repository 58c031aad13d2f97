"""Time and memory of one full averaging iteration with local refinement.

    python experiments/benchmarks/average.py [--count 1000] [--threads 2]

Simulated GroEL-like particles, 64 voxels of 6 angstrom, SNR 0.01 (variance of the signal over the box by that of the
noise per voxel, before the wedge), tilts to +-60 degrees; listed poses some degrees off. One iteration is: the poses of
both halves refined near where they are, each particle against the average of the others, both half-maps, their FSC, and
the next references. CPU seconds and peak memory are those of the whole command, which also makes the first and the
final average.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from torchsag.app.main import main as torchsag
from torchsag.io import read_particles, write_poses
from torchsag.runs.provenance import versions


def main() -> None:
    """Simulate, run, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--symmetry", default="D7")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = ["simulate", f"out={folder / 'data'}", f"n={options.count}", "snr=0.01", "float16=true"]
        if torchsag(words) != 0:
            raise SystemExit("the simulation failed")
        particles = read_particles(str(folder / "data" / "particles.star"))
        assert particles.poses is not None
        generator = torch.Generator().manual_seed(1)
        spread = torch.tensor([0.03, 0.03, 0.03, 0.5, 0.5, 0.5])
        off = spread * torch.randn(options.count, 6, generator=generator)
        write_poses(folder / "data" / "near.star", particles, particles.poses.to(torch.float32).retract(off))
        load = os.getloadavg()[0]
        subprocess.run(
            [
                sys.executable, "-m", "torchsag", "average", f"particles={folder / 'data' / 'near.star'}",
                f"truth={folder / 'data' / 'particles.star'}", "start=listed_poses", "method=curvature_sag_local",
                "iterations=1", f"symmetry={options.symmetry}", f"threads={options.threads}", f"out={folder / 'out'}",
            ],
            check=True,
        )  # fmt: skip
        metrics = json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    record = {
        "particles": options.count,
        "threads": options.threads,
        "symmetry": options.symmetry,
        "iteration_wall_seconds": metrics["iterations"][0]["seconds"],
        "command_wall_seconds": metrics["summary"]["wall_seconds"],
        "command_cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_memory_gb": round(used.ru_maxrss / 1024**2, 2),
        "other_processes_wanting_a_core_before": load,
        "summary": metrics["summary"],
        "versions": versions(),
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in record.items() if key not in ("summary", "versions")}, indent=1))


if __name__ == "__main__":
    main()
