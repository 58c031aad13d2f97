"""The picture at the top of the README: particles, their average as it grows, and the structure they were made from.

    python experiments/illustrations/overview.py

The averages are those that `experiments/paper/figure9.py` keeps: 200 particles of the built-in phantom, 64 voxels of 6
angstrom, SNR 0.003, tilts to 60 degrees, D7, from the particles alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from torchsag.simulation import density_of, groel_phantom, simulate_particles

HERE = Path(__file__).resolve().parent
RUN = HERE.parent / "paper" / "averaging_runs" / "phantom-200-D7-curvature_sag"
IMAGES = HERE.parents[1] / "docs" / "images"


def main() -> None:
    """Draw the row of pictures."""
    settings = json.loads(RUN.with_suffix(".json").read_text(encoding="utf-8"))
    resolution = settings["summary"]["resolution_0.143_angstrom"]
    structure = density_of(groel_phantom(), 64, 6.0, 6.0)
    particles, _ = simulate_particles(structure, 2, settings["settings"]["snr"], seed=settings["settings"]["seed"])
    grown = np.load(RUN.with_suffix(".npz"), allow_pickle=False)
    half = structure.box[0] // 2
    pictures = {f"particle {k + 1}": volume[half].numpy() for k, volume in enumerate(particles.volumes)}
    pictures |= {name: grown[name][1] for name in ("iteration 1", "iteration 3", "iteration 5")}
    pictures[f"average, {resolution:.1f} Å"] = grown["final"][1]
    pictures["what they were made from"] = structure.density[:, half].numpy()
    row(pictures).savefig(IMAGES / "overview.png", dpi=110, bbox_inches="tight", facecolor="white")


def row(pictures: dict[str, np.ndarray]) -> Figure:
    """Pictures side by side under their names."""
    figure = Figure(figsize=(1.75 * len(pictures), 2.0))
    for axis, (name, picture) in zip(figure.subplots(1, len(pictures)), pictures.items(), strict=True):
        axis.imshow(picture, cmap="gray", origin="lower")
        axis.set_title(name, fontsize=8)
        axis.set_axis_off()
    figure.subplots_adjust(wspace=0.04)
    return figure


if __name__ == "__main__":
    main()
