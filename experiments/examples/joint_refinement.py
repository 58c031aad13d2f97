"""Map and poses at once by SAG: every particle is one term of the likelihood, everything else a parameter.

The start: a blurred map, poses five degrees off. Beside it the averages at these poses and at the true ones.

python joint_refinement.py [PICTURE.png]
"""

import sys
from functools import partial

import torch
from matplotlib.figure import Figure

from torchsag.averaging import MapSums
from torchsag.evaluation.pose_errors import RemoveCommonTransform, compare_poses
from torchsag.fourier import fourier_shell_correlation, low_pass, to_half_spectrum
from torchsag.geometry import Symmetry, random_rotations
from torchsag.nn import DensityLayer, ForwardModel, TangentPoses, WedgeLayer, WhiteNoise
from torchsag.optim import SAG
from torchsag.particles import DensityMap
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

COUNT, PASSES, SYMMETRY = 20, 20, Symmetry("C1")
reference = density_of(ribosome_phantom(), 24, 14.0, 14.0)
particles, truth = simulate_particles(reference, COUNT, 0.5)
axes = random_rotations(COUNT, generator := torch.Generator().manual_seed(0))[:, 0]
start = truth.retract(torch.cat([torch.deg2rad(torch.tensor(5.0)) * axes, 0.7 * axes], 1))


def average(poses):
    """The particles' average at poses, as every average is made."""
    sums = MapSums.empty(particles.box, particles.voxel_size, 1)
    sums.add(particles, poses, torch.zeros(COUNT, dtype=torch.long))
    return sums.finish(SYMMETRY)[0].density


def agreement(density):
    """Fourier shell correlation with the true map."""
    return fourier_shell_correlation(to_half_spectrum(density), to_half_spectrum(reference.density), reference.box)


coarse = DensityMap(low_pass(average(start), 60.0, reference.voxel_size), reference.voxel_size)
model = ForwardModel(DensityLayer(coarse), TangentPoses(start), [WedgeLayer.of(particles)], WhiteNoise(1.0))
groups = [
    {"params": [model.density.density], "scale": float(coarse.density.std())},
    {"params": [model.poses.rotvec_rad], "scale": 0.2, "lr": 2.0},
    {"params": [model.poses.move_voxels], "scale": 2.0, "lr": 2.0},
]
optimizer = SAG(groups, num_terms=COUNT)


def loss_of(term):
    """The likelihood of one particle, and its gradient."""
    optimizer.zero_grad()
    (loss := model.negative_log_likelihood(particles[term : term + 1], [term]).sum()).backward()
    return loss


@torch.no_grad()
def error():
    """Median of the rotations' errors, degrees, once the common turn of map and poses is taken out."""
    poses = RemoveCommonTransform()(model.poses(), truth, SYMMETRY)
    return compare_poses(poses, truth, SYMMETRY).rotation_deg.median()


first = error()
for term in torch.cat([torch.randperm(COUNT, generator=generator) for _ in range(PASSES)]).tolist():
    optimizer.step(partial(loss_of, term), term)
maps = {"at the start": average(start), "refined": model.density.as_map().density, "at the truth": average(truth)}
print(f"median rotation error {first:.2f} deg at the start, {error():.2f} deg after {PASSES} passes")
figure = Figure(figsize=(4.4, 3))
axis = figure.subplots()
for name, density in maps.items():
    curve = agreement(density)[1:]
    print(f"{name}: area under the FSC {curve.sum():.2f} shells")
    axis.plot(curve, label=name)
axis.set(xlabel="Fourier shell", ylabel="FSC with the true map")
axis.legend(frameon=False, fontsize=7)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "joint_refinement.png", dpi=110, bbox_inches="tight")
