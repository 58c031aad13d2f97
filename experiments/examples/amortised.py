"""A network that has seen simulated particles says at once how a particle lies.

    cd experiments/examples && python amortised.py [STEPS]        # learns for some minutes, leaves amortised.pt
    torchsag align particles=P reference=R search@method.search=learned \
        'hydra.searchpath=[file://conf]' 'allow=[amortised]'

Each of 1,152 rotations gets a chance; the likeliest become candidates (`experiments/benchmarks/learned_search.py`).
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from torchsag.errors import InputError
from torchsag.geometry import Poses, random_rotations
from torchsag.nn import SimulatedParticles
from torchsag.search.candidates import Candidates, Limits
from torchsag.search.selection import select_separated
from torchsag.simulation import FastPipeline, UniformPoses, density_of, ribosome_phantom

BOX, REACH = 24, 2.0  # voxels
REFERENCE = density_of(ribosome_phantom(), BOX, 14.0, 28.0)
ROTATIONS = random_rotations(1152, torch.Generator().manual_seed(0))
LAYERS = [nn.Conv3d(1, 24, 5, 2, 2), nn.GELU(), nn.Conv3d(24, 48, 3, 2, 1), nn.GELU(), nn.Conv3d(48, 96, 3, 2, 1)]
NETWORK = nn.Sequential(*LAYERS, nn.GELU(), nn.Flatten(), nn.Linear(2592, 384), nn.GELU(), nn.Linear(384, 1155))


def said(particles):
    """Logarithmic chances of the rotations and a shift, voxels, from volumes brought to variance one."""
    volumes = particles.volumes.unsqueeze(1)
    out = NETWORK(volumes / volumes.std((1, 2, 3, 4), keepdim=True))
    return out[:, :-3].log_softmax(1), REACH * out[:, -3:].tanh()


@dataclass(frozen=True)
class LearnedSearch:
    """A `torchsag.search.candidates.Search`; `weights` is the file that training leaves."""

    weights: str = "amortised.pt"
    num_candidates: int = 24

    def prepare(self, reference, symmetry, device="cpu"):
        """Load the network."""
        if reference.density.shape[-1] != BOX or not Path(self.weights).is_file():
            raise InputError(f"learned search: expected a box of {BOX} voxels and {self.weights}; python amortised.py")
        NETWORK.load_state_dict(torch.load(self.weights, weights_only=True))
        return lambda particles: self.candidates(particles, symmetry)

    @torch.no_grad()
    def candidates(self, particles, symmetry):
        """The likeliest rotations at least 15 degrees apart, all at the same shift."""
        chances, shifts = said(particles)
        rows, scores = select_separated(chances, ROTATIONS, self.num_candidates, math.radians(15), symmetry)
        poses = Poses(ROTATIONS[rows], shifts[:, None].repeat(1, self.num_candidates, 1))
        return Candidates(poses, scores, Limits(Poses.identity(len(rows)), math.pi + 1e-3, 2 * REACH, symmetry))


def train(steps, snr=0.5, batch=48):
    """Chances near the true rotation and the shift, of particles no two of which are alike."""
    optimizer = torch.optim.AdamW(NETWORK.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, max(steps, 10))
    stream = SimulatedParticles(REFERENCE, FastPipeline(snr), UniformPoses(REACH), batch, seed=1, batches=steps)
    for particles, truth in stream:
        chances, shifts = said(particles)
        nearness = torch.einsum("pij,rij->pr", truth.rotations, ROTATIONS) / 0.06  # falls to 1 / e within 14 degrees
        loss = -(nearness.softmax(1) * chances).sum(1).mean() + (shifts - truth.shifts).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.save(NETWORK.state_dict(), "amortised.pt")


if __name__ == "__main__":
    train(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
