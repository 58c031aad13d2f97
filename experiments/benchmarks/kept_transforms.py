"""What keeping particles' transforms in half precision costs a pose.

    python experiments/benchmarks/kept_transforms.py [--count 64]

Simulated GroEL-like particles, 64 voxels of 6 angstrom, tilts to +-60 degrees, are aligned to the exact reference as
their files hold them and as `average` and `classify` keep them. Printed: root mean square pose errors over what is
expected of them (the Cramer-Rao bound; 6 degrees of freedom), how far the two poses of a particle lie apart in the same
units, and CPU milliseconds to load a particle either way.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.app.main import main as torchsag
from torchsag.geometry import Poses, Symmetry
from torchsag.io import read_map, read_particles
from torchsag.runs.provenance import versions
from torchsag.runs.transforms import kept_while_running
from torchsag.search.local_grid import LocalGrid

SNRS = (1.0, 0.1, 0.01, 0.003)
D7 = Symmetry("D7")


def whitened(found: Poses, other: Poses, covariances: torch.Tensor) -> float:
    """Root mean square of the moves from one to the other in units of the covariances, by degree of freedom."""
    near = Poses(D7.nearest(found.rotations, other.rotations), found.shifts)
    move = other.move_to(near).double()
    return float((torch.einsum("pi,pij,pj->p", move, covariances.double().inverse(), move) / 6).mean().sqrt())


def measured(folder: Path, count: int, snr: float) -> dict[str, float]:
    """One SNR."""
    data = folder / f"snr{snr}"
    if torchsag(["simulate", f"out={data}", f"n={count}", f"snr={snr}", "threads=1"]) != 0:
        raise SystemExit("the simulation failed")
    particles = read_particles(data / "particles.star")
    assert particles.poses is not None
    truth = particles.poses.to(torch.float32)
    aligner = CurvatureSAGAligner(search=LocalGrid()).prepare(read_map(data / "reference.mrc"), D7)
    kept = kept_while_running(particles, data, 8.0).up_to(aligner.outermost_shell)
    kept.load(range(count))
    began = time.process_time()
    stored = kept.load(range(count))
    between = time.process_time()
    read = particles.load(range(count))
    ended = time.process_time()
    whole, rounded = aligner(read), aligner(stored)
    return {
        "snr": snr,
        "error_by_bound_as_read": round(whitened(whole.poses, truth, whole.covariances), 4),
        "error_by_bound_as_kept": round(whitened(rounded.poses, truth, whole.covariances), 4),
        "apart_by_bound": round(whitened(rounded.poses, whole.poses, whole.covariances), 5),
        "load_kept_cpu_ms": round(1e3 * (between - began) / count, 2),
        "load_file_cpu_ms": round(1e3 * (ended - between) / count, 2),
    }


def main() -> None:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(Path(folder), options.count, snr) for snr in SNRS]
    record = {"what": str(__doc__).splitlines()[0], "particles": options.count, "rows": rows, "versions": versions()}
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print("\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
