"""Real tilt stacks beside the volumes made from them by others: poses found, and the averages of both.

    python experiments/benchmarks/real_tilt_stacks.py --stacks SET.star --reference MAP [--volumes LIST --poses POSES]

`torchsag align` with its defaults, on the stacks of an optimisation set (or a list) and on ready volumes of the same
particles. Poses are compared with those of the list, the authors'. The averages are compared with the authors'
map by Fourier shell, as they are and within a mask drawn around that map. Nothing here is adapted to the data. Figures
into ``real_tilt_stacks.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path

import torch

from torchsag.app.main import main as torchsag
from torchsag.averaging.mask import MaskFromMap
from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.geometry import Poses
from torchsag.geometry.rotations import rotation_angle
from torchsag.io import read_map, read_particles
from torchsag.particles import DensityMap
from torchsag.runs.provenance import versions
from torchsag.runs.truth import true_poses

MASK_ANGSTROM = 40.0  # resolution at which the mask is drawn
NEAR = 10.0  # degrees


def main() -> None:
    """Align, compare, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--volumes", type=Path)
    parser.add_argument("--poses", type=Path, help="the authors' poses of the volumes")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    reference = read_map(options.reference)
    listed = read_particles(options.stacks).poses
    if listed is None:
        raise SystemExit(f"{options.stacks}: expected angles in the list")
    kinds = {"stacks": (options.stacks, listed)}
    if options.volumes is not None:
        kinds["volumes"] = (options.volumes, true_poses(str(options.poses), read_particles(options.volumes)))
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            name: judged(particles, options.reference, reference, poses, Path(folder) / name)
            for name, (particles, poses) in kinds.items()
        }
    record = {"what": str(__doc__).splitlines()[0], "versions": versions(), **figures}
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


def judged(particles: Path, path: Path, reference: DensityMap, listed: Poses, out: Path) -> dict:
    """One run of the command."""
    words = [f"particles={particles}", f"reference={path}", f"out={out}", "device=cpu"]
    if torchsag(["align", *words]) != 0:
        raise SystemExit("torchsag align failed")
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    mirrored = metrics["reference_mirrored"]
    known = reference.mirrored("z") if mirrored else reference
    found = read_particles(out / "poses.star").poses
    assert found is not None
    off = rotation_angle(found.rotations.double().mT @ listed.rotations.double()) * (180 / math.pi)
    average = read_map(out / "average.mrc")
    mask = MaskFromMap()(known, MASK_ANGSTROM)
    return {
        "particles": len(off),
        "reference_mirrored": mirrored,
        "within_10_deg": int((off < NEAR).sum()),
        "median_rotation_error_deg": round(float(off.median()), 2),
        "median_error_of_those_deg": round(float(off[off < NEAR].median()), 2),
        "fsc_with_reference": curve(average.density, known.density),
        "fsc_with_reference_in_mask": curve(average.density * mask, known.density * mask),
        "findings": [finding["code"] for finding in metrics["verdict"]["findings"]],
    }


def curve(first: torch.Tensor, second: torch.Tensor) -> list[float]:
    """FSC of shells 1, 2, ..."""
    box = (first.shape[0], first.shape[1], first.shape[2])
    fsc = fourier_shell_correlation(to_half_spectrum(first.double()), to_half_spectrum(second.double()), box)
    return [round(float(value), 3) for value in fsc[1 : box[0] // 2 + 1]]


if __name__ == "__main__":
    main()
