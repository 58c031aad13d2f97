"""Joint refinement of poses and map beside alternating refinement, from the same poses some degrees off.

    python experiments/benchmarks/joint_refinement.py [--snr 0.03] [--count 20]

Simulated ribosome-like particles without symmetry, 32 voxels of 12 angstrom, tilts to +-60 degrees, SNR as the variance
of the signal over the box by that of the noise per voxel, before the wedge. All start at the true poses, turned by some
5 degrees and moved by one voxel at random. Alternating: local alignment and averaging by turns, each particle aligned
to the average of all its half (1 part) or of the others (5 parts). Joint: one local iteration, then both at once.
Errors are modulo the common frame of a half; resolutions against the true structure are read at FSC 0.5. Seconds are
of the CPU, one thread, everything included.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from torchsag.app.main import main as torchsag
from torchsag.io import read_particles, write_poses
from torchsag.runs.provenance import versions

WAYS = {
    "alternating, 1 part": ["iterations=5", "parts=1"],
    "alternating, 5 parts": ["iterations=5", "parts=5"],
    "one iteration": ["iterations=1", "parts=1"],
    "one iteration, then joint, 5 passes": ["iterations=1", "parts=1", "polish=joint", "polish.passes=5"],
    "one iteration, then joint, 15 passes": ["iterations=1", "parts=1", "polish=joint", "polish.passes=15"],
}
SHOWN = (
    "median_rotation_error_deg", "median_shift_error_angstrom", "resolution_0.143_angstrom",
    "truth_resolution_0.5_angstrom",
)  # fmt: skip


def main() -> None:
    """Simulate, refine in each way, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--snr", type=float, nargs="+", default=[0.1, 0.03])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    rows = []
    for snr in options.snr:
        with tempfile.TemporaryDirectory() as folder:
            rows += [{"snr": snr, **row} for row in compare(Path(folder), options.count, snr)]
    record = {"count": options.count, "versions": versions(), "rows": rows}
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(row)


def compare(folder: Path, count: int, snr: float) -> list[dict]:
    """One row for each way."""
    data = folder / "data"
    run("simulate", f"out={data}", "structure=ribosome", f"n={count}", f"snr={snr}", "box=32", "voxel_size_angstrom=12")
    particles = read_particles(str(data / "particles.star"))
    assert particles.poses is not None
    generator = torch.Generator().manual_seed(1)
    off = torch.cat([0.05 * torch.randn(count, 3, generator=generator), torch.randn(count, 3, generator=generator)], -1)
    write_poses(data / "near.star", particles, particles.poses.to(torch.float32).retract(off))
    rows = []
    for number, (way, words) in enumerate(WAYS.items()):
        out, began = folder / str(number), time.process_time()
        run(
            "average", f"particles={data / 'near.star'}", "start=listed_poses", "method=curvature_sag_local",
            f"truth={data / 'particles.star'}", f"truth_map={data / 'reference.mrc'}", f"out={out}", "~report",
            "threads=1", *words,
        )  # fmt: skip
        spent = time.process_time() - began
        summary = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["summary"]
        rows.append({"way": way, "cpu_seconds": round(spent, 1), **{name: summary[name] for name in SHOWN}})
    return rows


def run(*words: str) -> None:
    """Run a command of torchsag."""
    if torchsag(words) != 0:
        raise SystemExit(f"torchsag {' '.join(words)} failed")


if __name__ == "__main__":
    main()
