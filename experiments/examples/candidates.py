"""What a search hands to refinement: where its candidates lie, and whether the true pose is among them.

python candidates.py [PICTURE.png]
"""

import sys

import torch
from matplotlib.figure import Figure

from torchsag.geometry import Symmetry
from torchsag.search.power_spectrum_matching import PowerSpectrumMatching
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

reference = density_of(ribosome_phantom(), 48, 8.0, 8.0)
symmetry = Symmetry("C1")

figure = Figure(figsize=(5, 3.2))
axis = figure.subplots()
for search in (RotationalMatching(), PowerSpectrumMatching(degree=24, num_candidates=24)):
    name = type(search).__name__
    prepared = search.prepare(reference, symmetry)
    for snr, style in ((0.05, "-"), (0.005, "--")):
        particles, truth = simulate_particles(reference, 20, snr)
        found = prepared(particles)
        away = torch.rad2deg(symmetry.distance(truth.rotations[:, None], found.poses.rotations))
        hit = ((away < 17) & found.scores.isfinite()).int().cummax(1).values.float().mean(0)
        first, any_of_them = 100 * hit[0], 100 * hit[-1]
        print(f"{name}, SNR {snr}: within 17 deg {first:.0f} % of the best candidates, {any_of_them:.0f} % of all rows")
        axis.plot(range(1, len(hit) + 1), 100 * hit, style, label=f"{name}, SNR {snr}")
axis.set(xlabel="candidates looked at", ylabel="% with one within 17°", ylim=(0, 103))
axis.legend(frameon=False, fontsize=7)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "candidates.png", dpi=110, bbox_inches="tight")
