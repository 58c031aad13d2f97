"""The defocus of every particle, by gradient: pose and defocus are parameters of one model, which torch's Adam fits.

All particles are first aligned as if they had the mean defocus, as a tomogram's one value would say.

python defocus.py [PICTURE.png]
"""

import sys

import torch
from matplotlib.figure import Figure

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.evaluation import compare_poses
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.nn import CTF, DensityLayer, ForwardModel, TangentPoses, WedgeLayer, WhiteNoise
from torchsag.particles import ParticleBatch
from torchsag.simulation import density_of, ribosome_phantom

COUNT, MEAN_UM, SPREAD_UM, SYMMETRY = 24, -3.0, 0.3, Symmetry("C1")
generator = torch.Generator().manual_seed(0)
reference = density_of(ribosome_phantom(), 40, 7.0, 10.0)
truth = Poses(random_rotations(COUNT, generator), 2 * torch.rand(COUNT, 3, generator=generator) - 1)
defocus = MEAN_UM + SPREAD_UM * torch.randn(COUNT, generator=generator)


def model_of(poses, defocus_um):
    """Map, poses, wedge and CTF, noise."""
    optics = CTF(reference.box, reference.voxel_size, defocus_um)
    wedge = WedgeLayer.single_axis(reference.box, -60, 60, COUNT)
    noise = WhiteNoise(float(reference.density.std()))
    return ForwardModel(DensityLayer(reference), TangentPoses(poses), [wedge, optics], noise)


with torch.no_grad():
    volumes = model_of(truth, defocus).sample(generator=generator)
    wedge, optics = model_of(truth, torch.full((COUNT,), MEAN_UM)).transfers
    transfer = optics(wedge.weights[:1] + 0j, slice(1)).real.abs()  # particles as they would be after phase flipping
    sign = optics(torch.ones_like(transfer) + 0j, slice(1)).real.sign()
names = tuple(f"particle {i}" for i in range(COUNT))
particles = ParticleBatch.from_volumes(volumes, wedge.weights, wedge.weight_index, names, reference.voxel_size)
flipped = ParticleBatch(sign * particles.spectra, transfer, wedge.weight_index, names, 7.0, particles.box)
found = CurvatureSAGAligner().prepare(reference, SYMMETRY)(flipped).poses

model = model_of(found, torch.full((COUNT,), MEAN_UM))
model.density.requires_grad_(False)
optimizer = torch.optim.Adam(
    [
        {"params": [model.poses.rotvec_rad], "lr": 2e-3},
        {"params": [model.poses.move_voxels], "lr": 2e-2},
        {"params": [model.transfers[1].defocus_um], "lr": 2e-2},
    ]
)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60)
track = []
for _ in range(60):
    track.append(model.transfers[1].defocus_um.detach() - defocus)
    optimizer.zero_grad()
    model.negative_log_likelihood(particles).sum().backward()
    optimizer.step()
    schedule.step()
with torch.no_grad():
    before, after = (compare_poses(p, truth, SYMMETRY).rotation_deg.median() for p in (found, model.poses()))
first, last = (1000 * error.abs().median() for error in (track[0], track[-1]))
print(f"median defocus error {first:.0f} nm at first, {last:.1f} nm after {len(track)} steps")
print(f"median rotation error {before:.3f} deg with the mean defocus, {after:.3f} deg with each particle's own")

figure = Figure(figsize=(4.4, 3))
axis = figure.subplots()
axis.plot(1000 * torch.stack(track), color="tab:blue", linewidth=0.8)
axis.set(xlabel="steps of Adam", ylabel="defocus error (nm)")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "defocus.png", dpi=110, bbox_inches="tight")
