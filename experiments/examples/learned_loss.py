"""A small loss, learned on simulated particles of one structure and used for any other like every other loss.

    cd experiments/examples && python learned_loss.py        # learns for a minute or two, leaves learned_loss.pt
    torchsag compare out=learned method=volume_refinement loss@method.loss=learned snr=0.03 \
        'hydra.searchpath=[file://conf]' 'allow=[learned_loss]'

A network of 220 weights adds to the volumes what makes the true pose correlate better than its neighbours.
"""

import sys
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from torchsag.geometry import Poses, random_rotations, rotvec_to_matrix
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.losses.constrained import box_deviation
from torchsag.losses.cross_correlation import CrossCorrelation
from torchsag.simulation import density_of, groel_phantom, simulate_particles
from torchsag.slices.matching import match_parts
from torchsag.slices.whole_volume import WholeVolume

NETWORK = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv3d(4, 1, 3, padding=1, bias=False))
DECOYS, TEMPERATURE, WHOLE = 5, 0.003, torch.tensor([0])


def dissimilarity(network, observed, model, mask):
    """One minus the correlation of what the network makes of two volumes."""
    flat = [box_deviation(part, mask).reshape(-1, 1, *part.shape[-3:]) for part in (observed, model)]
    flat = [part / part.std((1, 2, 3, 4), keepdim=True).clamp_min(1e-12) for part in flat]
    seen = [(part + network(part)).reshape(observed.shape) for part in flat]
    return 1 - nn.functional.cosine_similarity(*(box_deviation(part, mask).flatten(-3) for part in seen), dim=-1)


@dataclass(frozen=True)
class LearnedCorrelation:
    """A `torchsag.losses.loss.Loss`; `weights` is the file that training leaves."""

    weights: str
    additive = False  # normalised by whole volumes

    def loss(self, observed, model, mask):
        """The trained network's dissimilarity."""
        return dissimilarity(trained(self.weights), observed, model, mask)


@cache
def trained(path):
    """The network with the weights in a file."""
    NETWORK.load_state_dict(torch.load(path, weights_only=True))
    return NETWORK.requires_grad_(False)


def train(steps, count=40, snr=0.03):
    """Tell the true pose of each particle from decoys up to 17 degrees and three voxels away."""
    particles, truth = simulate_particles(reference := density_of(groel_phantom(), 64, 6.0, 12.0), count, snr, seed=1)
    pairs = match_parts(particles, reference, CrossCorrelation(), WholeVolume(), CubicSpline(), 30.0)
    generator, optimizer = torch.Generator().manual_seed(0), torch.optim.Adam(NETWORK.parameters(), lr=5e-3)
    for step in range(steps):
        rows = torch.randperm(count, generator=generator)[:4].repeat_interleave(1 + DECOYS)
        axes = random_rotations(len(rows), generator)  # columns: about what to turn a decoy, and where to shift it
        size = (torch.arange(len(rows)) % (1 + DECOYS) > 0)[:, None] * torch.rand(len(rows), 1, generator=generator)
        turned = rotvec_to_matrix(0.3 * size * axes[:, 0]) @ truth.rotations[rows]
        poses = Poses(turned[:, None], (truth.shifts[rows] + 3 * size * axes[:, 1])[:, None])
        model = pairs.filter(pairs.sample(pairs.sources(poses.rotations, poses.shifts, WHOLE), rows), rows)
        parts = (v.unflatten(-1, pairs.split.part) for v in (pairs.observed[rows], model, pairs.mask))
        chance = (-dissimilarity(NETWORK, *parts).view(-1, 1 + DECOYS) / TEMPERATURE).log_softmax(1)[:, 0]
        optimizer.zero_grad()
        (-chance.mean()).backward()
        optimizer.step()
        print(f"step {step}: chance of the true pose {float(chance.detach().exp().mean()):.2f}", flush=True)


if __name__ == "__main__":
    train(steps=int(sys.argv[1]) if len(sys.argv) > 1 else 150)
    torch.save(NETWORK.state_dict(), "learned_loss.pt")
