"""A filter for a noisy reference, learned through the aligner: poses are differentiable functions of the reference.

The reference is an average of few particles: beyond some shell it is noise, and the poses suffer. The weight of each
shell is learned on particles whose poses are known, by the gradient of their pose errors (the implicit function
theorem), and judged on others, beside the reference as it is and the weight that a known FSC would give.

python hyperparameters.py [PICTURE.png]
"""

import sys
from dataclasses import replace

import torch
from matplotlib.figure import Figure

from torchsag.alignment.implicit_poses import implicit_poses
from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.fourier.radial import apply_shell_curve
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

COUNT, STEPS, LAST = 10, 12, 9
structure = density_of(ribosome_phantom(), 24, 14.0, 14.0)
noise = torch.randn(structure.box, generator=torch.Generator().manual_seed(5))
noisy = structure.density + 0.8 * structure.density.std() * noise
learning, truth = simulate_particles(structure, COUNT, 3.0, seed=1)
others, other_truth = simulate_particles(structure, 3 * COUNT, 3.0, seed=2)


def squared_errors(weight, particles, poses):
    """Of the rotations, radians, and of the shifts, in units of 0.1 rad and 1 voxel: differentiable."""
    reference = replace(structure, density=apply_shell_curve(noisy.double(), weight))
    found = implicit_poses(reference, particles, poses, max_shell=LAST)
    turn = (found.rotations - poses.rotations.double()).square().sum((1, 2)) / 2
    return turn / 0.01 + (found.shifts - poses.shifts.double()).square().sum(1), turn


curve = fourier_shell_correlation(*(to_half_spectrum(v) for v in (noisy, structure.density)), structure.box)
logit = torch.full((structure.box[0] // 2 + 1,), 2.0, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([logit], lr=0.6)
for _ in range(STEPS):
    optimizer.zero_grad()
    loss = squared_errors(logit.sigmoid(), learning, truth)[0].mean()
    loss.backward()
    optimizer.step()
weights = {
    "as it is": torch.ones_like(logit),
    "learned": logit.detach().sigmoid(),
    "by its true FSC": curve.double().clamp_min(0).square(),
}
figure = Figure(figsize=(4.4, 3))
axis = figure.subplots()
for name, weight in weights.items():
    degrees = torch.rad2deg(squared_errors(weight, others, other_truth)[1].mean().sqrt())
    print(f"reference {name}: rms rotation error {degrees:.2f} deg of {len(others)} other particles")
    axis.plot(weight / weight[1:].max(), label=f"{name}, {degrees:.2f}°")
axis.set(xlabel="Fourier shell", ylabel="weight of the reference")
axis.legend(frameon=False, fontsize=7)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "hyperparameters.png", dpi=110, bbox_inches="tight")
