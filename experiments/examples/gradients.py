"""Through the model with autograd: twelve poses at once, from 10 degrees away, with torch's own Adam.

Nothing here is made for alignment: the placed reference is an ordinary differentiable function of the pose.

python gradients.py [PICTURE.png]
"""

import sys

import torch
from matplotlib.figure import Figure

from torchsag.evaluation import compare_poses
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.imaging.placement import place_spectrum
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.spectra.gridding import ContinuousSpectrum

reference = density_of(ribosome_phantom(), 24, 16.0, 32.0)
particles, truth = simulate_particles(reference, 12, 3.0)
axes = random_rotations(12, torch.Generator().manual_seed(0))[:, 0]
start = truth.retract(torch.cat([torch.deg2rad(torch.tensor(10.0)) * axes, axes], 1))  # and one voxel

spectrum, weights = ContinuousSpectrum.of(reference.density), particles.weights[particles.weight_index]
turn, shift = torch.zeros(12, 3, requires_grad=True), torch.zeros(12, 3, requires_grad=True)  # radians, voxels
optimizer = torch.optim.Adam([{"params": [turn], "lr": 0.02}, {"params": [shift], "lr": 0.1}], betas=(0.7, 0.95))
track = []
for _ in range(50):
    poses = start.retract(torch.cat([turn, shift], 1))
    track.append(
        compare_poses(Poses(poses.rotations.detach(), poses.shifts.detach()), truth, Symmetry("C1")).rotation_deg
    )
    left = particles.spectra - weights * place_spectrum(spectrum, poses)
    optimizer.zero_grad()
    left.abs().square().sum().backward()
    optimizer.step()
print(
    f"median rotation error {track[0].median():.1f} deg at first, {track[-1].median():.1f} deg after {len(track)} steps"
)

figure = Figure(figsize=(4.4, 3))
axis = figure.subplots()
axis.plot(torch.stack(track), color="tab:blue", linewidth=0.8)
axis.set(xlabel="steps of Adam", ylabel="rotation error (deg)", ylim=(0, None))
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "gradients.png", dpi=110, bbox_inches="tight")
