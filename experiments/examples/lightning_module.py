"""Map and poses at once in PyTorch Lightning: torchsag's modules, data set and SAG in an ordinary `Trainer`.

Lightning drives the step, its closure and the loader; each particle is a term of the likelihood, and `training_step`
says which one it sees. The step size comes from SAG's line search. Like joint_refinement.py, which writes the loop out.

python lightning_module.py [PICTURE.png]    # after pip install 'torchsag[lightning]'
"""

import sys

import lightning
import torch
from matplotlib.figure import Figure
from torch.utils.data import DataLoader

from torchsag.averaging import MapSums
from torchsag.evaluation.pose_errors import RemoveCommonTransform, compare_poses
from torchsag.fourier import low_pass
from torchsag.geometry import Symmetry, random_rotations
from torchsag.nn import DensityLayer, ForwardModel, SubtomogramDataset, TangentPoses, WedgeLayer, WhiteNoise
from torchsag.optim import SAG
from torchsag.particles import DensityMap, ParticleSet
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

COUNT, PASSES, SYMMETRY = 20, 20, Symmetry("C1")


class JointRefinement(lightning.LightningModule):
    """A forward model whose map and poses are learned; batches are pairs (index, particles) of one particle."""

    def __init__(self, model, truth):
        super().__init__()
        self.model, self.truth, self.errors_deg = model, truth, []
        self.map_scale = float(model.density.density.detach().std())

    def training_step(self, batch, _):
        """The negative log-likelihood of one particle."""
        index, particles = batch
        self.optimizers().set_term(index)
        return self.model.negative_log_likelihood(particles, index).sum()

    def on_train_epoch_start(self):
        """Keep the median error of the rotations, once the common turn of map and poses is taken out."""
        with torch.no_grad():
            poses = RemoveCommonTransform()(self.model.poses(), self.truth, SYMMETRY)
        self.errors_deg.append(float(compare_poses(poses, self.truth, SYMMETRY).rotation_deg.median()))

    on_train_end = on_train_epoch_start

    def configure_optimizers(self):
        """SAG; the unit of each group's unknowns is its scale."""
        groups = [
            {"params": [self.model.density.density], "scale": self.map_scale},
            {"params": [self.model.poses.rotvec_rad], "scale": 0.2, "lr": 2.0},
            {"params": [self.model.poses.move_voxels], "scale": 2.0, "lr": 2.0},
        ]
        return SAG(groups, num_terms=len(self.model.poses))


lightning.seed_everything(0, verbose=False)
particles, truth = simulate_particles(density_of(ribosome_phantom(), 24, 14.0, 14.0), COUNT, 0.5)
axes = random_rotations(COUNT, torch.Generator().manual_seed(0))[:, 0]
start = truth.retract(torch.cat([torch.deg2rad(torch.tensor(5.0)) * axes, 0.7 * axes], 1))
sums = MapSums.empty(particles.box, particles.voxel_size, 1)
sums.add(particles, start, torch.zeros(COUNT, dtype=torch.long))
coarse = DensityMap(low_pass(sums.finish(SYMMETRY)[0].density, 60.0, particles.voxel_size), particles.voxel_size)
model = ForwardModel(DensityLayer(coarse), TangentPoses(start), [WedgeLayer.of(particles)], WhiteNoise(1.0))
data = SubtomogramDataset(ParticleSet.from_batch(particles), with_index=True)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
refinement = JointRefinement(model, truth)
trainer = lightning.Trainer(max_epochs=PASSES, accelerator="cpu", **quiet)
trainer.fit(refinement, DataLoader(data, shuffle=True))
errors = refinement.errors_deg
print(f"median rotation error {errors[0]:.2f} deg at the start, {errors[-1]:.2f} deg after {PASSES} epochs")
figure = Figure(figsize=(4.4, 3))
axis = figure.subplots()
axis.plot(errors, marker="o", markersize=3)
axis.set(xlabel="epochs", ylabel="median rotation error (deg)", ylim=(0, None))
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "lightning_module.png", dpi=110, bbox_inches="tight")
