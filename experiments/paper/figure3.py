"""Classes of a simulated GroEL mixture, like Fig. 3 of Lü et al. 2019: three classes and their slices.

    python experiments/paper/figure3.py [--run DIR --note TEXT] [--snr 0.01] [--count 300] [--out FIGURE.png]

The paper classifies experimental particles into GroEL14, GroEL14-GroES7 and the rest, by MCO-A with ten initial classes
and C7. Here the particles are simulated, so that the truth is known: the GroEL-like phantom, its capped variant and, as
the rest, the ribosome phantom, 40 : 40 : 20, 64 voxels of 6 angstrom, tilts to +-60 degrees (SNR: signal variance over
the box by noise variance per voxel, before the wedge, of each structure). Poses and classes are unknown to the run.
With `--run`, the figure of a finished `torchsag classify`, whatever its particles.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from torchsag.app.main import main as torchsag
from torchsag.runs.provenance import versions

MASK = ["mask.diameter_angstrom=280", "mask.edge_angstrom=36"]


def run(folder: Path, count: int, snr: float, seed: int, threads: int) -> Path:
    """Simulate a mixture and classify it; the list that is classified has neither poses nor classes."""
    data, out = folder / "data", folder / "classes"
    mixture = ["+structure@others.capped=capped", "+structure@others.rest=ribosome", "proportions=[0.4,0.4,0.2]"]
    _run("simulate", f"out={data}", f"n={count}", f"snr={snr}", f"seed={seed}", *mixture)
    names = sorted(path.name for path in (data / "particles").iterdir())
    blind = data / "blind.csv"
    rows = "".join(f"particles/{name},-60,60\n" for name in names)
    blind.write_text("volume,tilt_min_deg,tilt_max_deg\n" + rows, encoding="utf-8")
    _run(
        "classify", f"particles={blind}", f"truth={data / 'particles.star'}", f"out={out}", "method=mco_a",
        "symmetry=C7", "common_symmetry=D7", "repeats=1", f"seed={seed}", f"threads={threads}", *MASK,
    )  # fmt: skip
    return out


def draw(out: Path, path: Path) -> dict:
    """Central slices of the common average and of every class; returns what the run says of itself."""
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    with np.load(out / "slices.npz", allow_pickle=False) as archive:
        slices = dict(archive)
    sizes = {f"class {i}": size for i, size in enumerate(metrics["summary"]["sizes"], start=1)}
    sizes["class 0"] = metrics["summary"]["fit_nothing"]
    figure, axes = plt.subplots(3, len(slices), figsize=(2.2 * len(slices), 6.6), squeeze=False)
    for column, (name, planes) in enumerate(slices.items()):
        low, high = np.percentile(planes, (0.5, 99.5))
        for row, (plane, label) in enumerate(zip(planes, ("across z", "across y", "across x"), strict=True)):
            panel = axes[row][column]
            panel.imshow(plane, cmap="gray_r", origin="lower", vmin=low, vmax=max(high, low + 1e-12))
            panel.set_xticks([])
            panel.set_yticks([])
            if column == 0:
                panel.set_ylabel(label)
        axes[0][column].set_title(f"{name}\n{sizes[name]} particles" if name in sizes else name, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    kept = ("method", "symmetry", "common_symmetry", "box", "voxel_size_angstrom", "seed", "summary")
    return {name: metrics[name] for name in kept}


def _run(*words: str) -> None:
    if torchsag(words) != 0:
        raise SystemExit(f"torchsag {' '.join(words)} failed")


def main() -> None:
    """Draw the figure and note what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a finished classification")
    parser.add_argument("--note", default="", help="what that run was, for the record")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--snr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = options.run or run(Path(folder), options.count, options.snr, options.seed, options.threads)
        run_record = draw(out, options.out)
    simulated = {name: getattr(options, name) for name in ("count", "snr", "seed")}
    particles = options.note if options.run else simulated
    record = {"particles": particles, "versions": versions(), "run": run_record}
    options.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
