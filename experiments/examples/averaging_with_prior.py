"""The learned prior of learned_prior.py in the averaging loop, beside the default filter and on pure noise.

Noisy particles of a structure that the network has not seen begin 20 degrees off. Each half's references are denoised;
the half-maps that are compared are raw sums. Judged by the true structure and poses; pure noise must gain nothing.

python averaging_with_prior.py [PICTURE.png]
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from learned_prior import LearnedPrior
from matplotlib.figure import Figure
from prior_training import BLUR, BOX, VOXEL, train

import torchsag
from torchsag.averaging.regularisation import ShellWeight
from torchsag.fourier.shells import resolution_at
from torchsag.geometry import rotvec_to_matrix
from torchsag.io import read_particles
from torchsag.simulation import density_of, ribosome_phantom
from torchsag.workflows.average.controls import NoiseOnly

COUNT, SNR, SEEDS = 80, 0.012, (2, 3, 4)
SETTINGS = {"start": "listed_poses", "iterations": 3, "parts": 2}


def averaged(folder, seed, regularisation, control):
    """Truth FSC by shell, where it crosses 0.5, the median rotation error, and the area under the half-map FSC."""
    known = {"truth": str(folder / "particles.star"), "truth_map": str(folder / "reference.mrc")}
    particles = read_particles(known["truth"])
    turns = rotvec_to_matrix(0.35 / 3**0.5 * torch.randn(COUNT, 3, generator=torch.Generator().manual_seed(seed)))
    listed = replace(particles.poses, rotations=turns.to(particles.poses.rotations) @ particles.poses.rotations)
    out = Path(tempfile.mkdtemp(dir=folder))
    words = {**SETTINGS, **known, "regularisation": regularisation, "control": control, "seed": seed, "out": out}
    last = torchsag.average(replace(particles, poses=listed), **words).iterations[-1]
    curve = np.genfromtxt(out / "fsc.csv", delimiter=",", names=True)["truth"]
    crossing = resolution_at(torch.tensor(curve), (BOX,) * 3, VOXEL, 0.5)
    return curve, crossing, last["median_rotation_error_deg"], last["fsc_area_shells"]


structure = density_of(ribosome_phantom(), BOX, VOXEL, BLUR)
with tempfile.TemporaryDirectory() as name:
    torch.save(train(150).state_dict(), weights := f"{name}/learned_prior.pt")
    filters, runs = {"default": ShellWeight(), "learned": LearnedPrior(weights)}, {}
    for seed in SEEDS:
        folder = Path(name, str(seed))
        torchsag.simulate(structure, COUNT, snr=SNR, seed=seed, out=folder)
        for label, regularisation in filters.items():
            for control in (None, NoiseOnly()):
                runs.setdefault((label, control is None), []).append(averaged(folder, seed, regularisation, control))

figure = Figure(figsize=(4.6, 3.2))
axis = figure.subplots()
for label in filters:
    curves, crossings, errors, _ = zip(*runs[label, True], strict=True)
    noise = ", ".join(f"{run[3]:.2f}" for run in runs[label, False])
    each = ", ".join(f"{crossing:.1f} ({error:.1f} deg)" for crossing, error in zip(crossings, errors, strict=True))
    print(f"{label}: truth FSC 0.5 at {np.mean(crossings):.1f} angstrom, error {np.mean(errors):.2f} deg; each: {each}")
    print(f"{label}: area under the truth FSC {np.sum(np.mean(curves, 0)[1:]):.2f} shells; of halves of noise: {noise}")
    axis.plot(np.arange(BOX // 2 + 1), np.mean(curves, 0), label=f"{label}: {np.mean(crossings):.1f} Å")
axis.axhline(0.5, color="gray", linewidth=0.8)
axis.set(xlabel="Fourier shell", ylabel="FSC with the truth", ylim=(-0.1, 1.05))
axis.legend(frameon=False)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "averaging_with_prior.png", dpi=110, bbox_inches="tight")
