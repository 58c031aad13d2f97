"""Averages of twenty noisy particles from a given map: with the map kept in the references, and with it forgotten.

    python experiments/benchmarks/few_particles.py [--seeds 5] [--data FOLDER]

Twenty simulated ribosomes of SNR 0.01 (box 32, 12 angstrom, tilts to 60 degrees) are averaged from their own structure,
low-passed to 60 angstrom. What a run makes of it is the median rotation error of every iteration. `forgotten` is the
same run with references made of the particles alone from the second iteration on. `--data` adds the experimental
ribosomes that `ribosomes.py` describes. The result is a JSON file beside this one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from torchsag.app.main import main as torchsag
from torchsag.runs.provenance import versions
from torchsag.workflows.average.command import Average

_keeping = Average._loop


def _forgetting(self, particles, truth, reference=None):
    return replace(_keeping(self, particles, truth, reference), given=None)


def average(particles: Path, truth: Path, reference: Path, out: Path, keep: bool, more: list[str]) -> dict:
    """Median errors by iteration, and the verdict."""
    Average._loop = _keeping if keep else _forgetting
    words = [f"particles={particles}", f"truth={truth}", f"reference={reference}", f"out={out}", "mask=from_map"]
    if torchsag(["average", *words, "device=cpu", "threads=1", *more]) != 0:
        raise SystemExit("torchsag average failed")
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    errors = [round(row["median_rotation_error_deg"], 2) for row in metrics["iterations"]]
    codes = [finding["code"] for finding in metrics["verdict"]["findings"]]
    best = metrics["summary"]["best_iteration"]
    return {"median_rotation_error_deg": errors, "best_iteration": best, "findings": codes}


def main() -> None:
    """Run, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--words", nargs="*", default=[], help="further words of the command")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, list[dict]] = {"kept": [], "forgotten": []}
    with tempfile.TemporaryDirectory() as temporary:
        sets = []
        for seed in range(options.seeds):
            folder = Path(temporary) / f"seed_{seed}"
            words = ["structure=ribosome", "n=20", "box=32", "voxel_size_angstrom=12", "snr=0.01", f"seed={seed}"]
            if torchsag(["simulate", f"out={folder}", *words, "threads=1"]) != 0:
                raise SystemExit("torchsag simulate failed")
            listed = folder / "particles.star"
            sets.append((f"simulated, seed {seed}", listed, listed, folder / "reference.mrc"))
        if options.data is not None:
            data = options.data
            sets.append(("experimental", data / "particles.csv", data / "poses.csv", data / "reference.mrc"))
        for number, (name, particles, truth, reference) in enumerate(sets):
            for how, made in rows.items():
                out = Path(temporary) / f"{how}_{number}"
                made.append(
                    {"particles": name, **average(particles, truth, reference, out, how == "kept", options.words)}
                )
                print(how, made[-1], flush=True)
    what = " ".join([str(__doc__).splitlines()[0], *options.words])
    result = {"what": what, "versions": versions(), **rows}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
