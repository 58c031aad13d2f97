"""The figures of *How it works*: the missing wedge, coarse to fine, convergence, and the Cramer-Rao bound.

    python experiments/illustrations/how_it_works.py

Curves of convergence and error are those measured in `experiments/benchmarks/`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from matplotlib.figure import Figure
from overview import IMAGES, row

from torchsag.fourier import from_half_spectrum, low_pass
from torchsag.geometry import Poses, rotvec_to_matrix
from torchsag.imaging.placement import place_spectrum
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.spectra.gridding import ContinuousSpectrum

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def main() -> None:
    """Draw them all."""
    drawn = {"wedge": wedge, "coarse_to_fine": coarse_to_fine, "convergence": convergence, "bound": bound}
    for name, draw in drawn.items():
        draw().savefig(IMAGES / f"{name}.png", dpi=110, bbox_inches="tight", facecolor="white")


def wedge() -> Figure:
    """One particle seen across the tilt axis: whole, through its wedge, with noise; and what was measured of it."""
    structure = density_of(ribosome_phantom(), 64, 6.0, 20.0)
    half = structure.box[1] // 2
    whole = simulate_particles(structure, 1, math.inf, -90.0, 90.0, seed=3)[0]
    clean, noisy = (simulate_particles(structure, 1, snr, seed=3)[0] for snr in (math.inf, 0.1))
    measured = torch.fft.fftshift(torch.fft.fftn(noisy.volumes[0]).abs() > 1e-2)
    return row(
        {
            "reference at its pose": whole.volumes[0, :, half].numpy(),
            "seen from -60° to 60°": clean.volumes[0, :, half].numpy(),
            "with noise, SNR 0.1": noisy.volumes[0, :, half].numpy(),
            "measured (kx, kz)": measured[:, half].numpy(),
        }
    )


def coarse_to_fine() -> Figure:
    """Correlation of a structure with itself, turned, at several resolutions: coarse leads back, fine is sharp."""
    structure = density_of(ribosome_phantom(), 64, 6.0, 6.0)
    angles = torch.arange(-60, 61, 3).float()
    turns = rotvec_to_matrix(torch.deg2rad(angles)[:, None] * torch.tensor([0.6, 0.0, 0.8]))
    poses = Poses(turns, torch.zeros(len(angles), 3))
    turned = from_half_spectrum(place_spectrum(ContinuousSpectrum.of(structure.density), poses), structure.box)
    figure = Figure(figsize=(5, 3))
    axis = figure.subplots()
    for resolution in (90, 45, 25, 15):
        seen = low_pass(turned, resolution, structure.voxel_size).flatten(1)
        seen = seen - seen.mean(1, keepdim=True)
        correlation = torch.nn.functional.cosine_similarity(seen, seen[len(angles) // 2][None])
        axis.plot(angles, correlation, label=f"{resolution} Å")
    axis.set(xlabel="turned by (degrees)", ylabel="correlation")
    axis.legend(frameon=False)
    return figure


def convergence() -> Figure:
    """Distance from the optimum of the loss by passes over the data."""
    rows = json.loads((BENCHMARKS / "convergence.json").read_text(encoding="utf-8"))["rows"]
    figure = Figure(figsize=(6, 3.6))
    axis = figure.subplots()
    for name in dict.fromkeys(one["optimizer"] for one in rows):
        mine = [one for one in rows if one["optimizer"] == name]
        distance = [one["rotation_from_optimum_over_bound"] for one in mine]
        axis.loglog([one["passes"] for one in mine], distance, "o-", markersize=3, label=name)
    axis.axhline(0.1, color="gray", linewidth=0.8, linestyle=":")
    axis.set(xlabel="passes over the data", ylabel="rotation from optimum / bound")
    axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def bound() -> Figure:
    """Measured errors of the default method beside the Cramer-Rao bound."""
    rows = json.loads((BENCHMARKS / "align.json").read_text(encoding="utf-8"))["rows"]
    snr = [one["snr"] for one in rows]
    figure = Figure(figsize=(7, 3))
    panels = (("rotation", "rms_rotation_deg", "bound_rotation_deg", "degrees"),
              ("shift", "rms_shift_voxels", "bound_shift_voxels", "voxels"))  # fmt: skip
    for axis, (title, measured, least, unit) in zip(figure.subplots(1, 2), panels, strict=True):
        axis.loglog(snr, [one[least] for one in rows], "-", color="gray", label="Cramer-Rao bound")
        axis.loglog(snr, [one[measured] for one in rows], "o", label="measured, rms")
        axis.set(xlabel="SNR", ylabel=unit, title=title)
        axis.legend(frameon=False)
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    main()
