"""Central slices of simulated subtomograms for tilt ranges and SNRs, like Fig. 2 of Lü et al. 2019.

    python experiments/paper/figure2.py [--structure FILE.pdb|FILE.cif] [--out experiments/paper/figure2.png]

The first two rows are the fast pipeline (SNR: signal variance over the box by noise variance per voxel, before the
wedge), the last two the tilt series with CTF, detector and back-projection (SNR of the projections): the same number
means very different noise. All particles of a column share their pose and, in each pipeline, their noise pattern.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import matplotlib as mpl
import torch

mpl.use("Agg")
import matplotlib.pyplot as plt

from torchsag.runs.provenance import versions
from torchsag.simulation.fast import FastPipeline
from torchsag.simulation.pipeline import Pipeline
from torchsag.simulation.pose_distribution import UniformPoses
from torchsag.simulation.structures import AtomicModel, GroelPhantom
from torchsag.simulation.tilt_scheme import RegularTilts
from torchsag.simulation.tilt_series import TiltSeriesPipeline

SNRS = (math.inf, 0.1, 0.03, 0.01, 0.003)
TILTS = (60.0, 40.0)
BOX, VOXEL_SIZE, SEED = 64, 6.0, 0


def rows() -> list[tuple[str, list[Pipeline]]]:
    """One row of pipelines for each kind and tilt range."""
    fast = [(f"fast, ±{tilt:g}°", [FastPipeline(snr, tilt) for snr in SNRS]) for tilt in TILTS]
    full = [
        (f"tilt series, ±{tilt:g}°", [TiltSeriesPipeline(snr, RegularTilts(tilt)) for snr in SNRS]) for tilt in TILTS
    ]
    return [*fast, *full]


def main() -> None:
    """Draw the figure and note what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structure", help="PDB or mmCIF file; without it the built-in GroEL-like phantom")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    arguments = parser.parse_args()
    structure = AtomicModel(arguments.structure) if arguments.structure else GroelPhantom()
    reference = structure.density(BOX, VOXEL_SIZE)
    poses = UniformPoses().draw(SEED, range(1)).to(torch.float32)
    figure, axes = plt.subplots(len(rows()), len(SNRS), figsize=(2 * len(SNRS), 2.1 * len(rows())))
    spread: dict[str, list[float]] = {}
    for row, (label, pipelines) in enumerate(rows()):
        for column, (snr, pipeline) in enumerate(zip(SNRS, pipelines, strict=True)):
            volume = pipeline.prepare(reference)(poses, range(1), SEED).volumes[0]
            spread.setdefault(label, []).append(float(volume.std()))
            panel = axes[row][column]
            panel.imshow(volume[BOX // 2].numpy(), cmap="gray_r", origin="lower")
            panel.set_xticks([])
            panel.set_yticks([])
            if row == 0:
                panel.set_title("no noise" if math.isinf(snr) else f"SNR {snr:g}")
            if column == 0:
                panel.set_ylabel(label)
    figure.tight_layout()
    figure.savefig(arguments.out, dpi=150)
    record = {
        "structure": Path(arguments.structure).name if arguments.structure else "GroEL-like phantom",
        "box": BOX,
        "voxel_size_angstrom": VOXEL_SIZE,
        "seed": SEED,
        "snr": ["infinite" if math.isinf(snr) else snr for snr in SNRS],
        "snr_convention": {label: pipelines[0].snr_convention for label, pipelines in rows()},
        "standard_deviation_of_the_volume": spread,
        "versions": versions(),
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
