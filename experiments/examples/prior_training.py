"""What the learned prior of learned_prior.py knows: random structures, and half-maps of them under any noise.

python prior_training.py [STEPS] learns for a minute and leaves learned_prior.pt.
"""

import sys
from dataclasses import replace

import torch
from learned_prior import denoised, network
from torch import nn

from torchsag.averaging.filtering import reference_weight, weigh_shells
from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.simulation import PointModel, density_of, ribosome_phantom

BOX, VOXEL, BLUR = 24, 14.0, 10.0


def random_structure(generator):
    """Rods thrown into one to five ellipsoids."""
    rods, along = [], torch.linspace(-20, 20, 9)[:, None]
    for _ in range(int(torch.randint(1, 6, (1,), generator=generator))):
        at, axes, offsets, axis = torch.randn(4, 20, 1, 3, generator=generator)
        rods += [45 * at[:1] + (20 + 15 * axes[:1].abs()) * offsets + nn.functional.normalize(axis, dim=-1) * along]
    points = torch.cat(rods).reshape(-1, 3).double()
    points -= points.mean(0)
    points *= (150 / points.norm(dim=-1, keepdim=True)).clamp_max(1)
    kind = torch.zeros(len(points), dtype=torch.long)
    return PointModel(points, torch.ones(len(points)).double(), kind, ribosome_phantom().form_factors, "random rods")


def seen_half(truth, generator):
    """One of two blurred and noisy half-maps, filtered as in the averaging loop, and the trust of its shells."""
    blur, noise = torch.rand(2, generator=generator)
    blurred = weigh_shells(truth, torch.exp(-0.01 * blur * torch.arange(BOX // 2 + 1) ** 2)).density
    halves = blurred + 0.1 * 16**noise * blurred.std() * torch.randn(2, *truth.box, generator=generator)
    trust = reference_weight(fourier_shell_correlation(*to_half_spectrum(halves), truth.box), 5.6)
    return weigh_shells(replace(truth, density=halves[0]), trust), trust


def train(steps):
    """Least squares to the truth."""
    generator = torch.manual_seed(0)
    truths = [density_of(random_structure(generator), BOX, VOXEL, BLUR) for _ in range(40)]
    optimizer = torch.optim.Adam((net := network()).parameters(), lr=3e-3)
    for step in range(steps):
        errors = []
        for truth in (truths[i] for i in torch.randint(len(truths), (4,), generator=generator).tolist()):
            filtered, trust = seen_half(truth, generator)
            made = torch.stack([denoised(net, filtered, trust).density, filtered.density])
            errors.append((made - truth.density).square().mean((1, 2, 3)) / truth.density.var())
        optimizer.zero_grad()
        torch.stack(errors)[:, 0].mean().backward()
        optimizer.step()
        learned, before = torch.stack(errors).detach().mean(0).tolist()
        print(f"step {step}: error {learned:.3f}, of the filter alone {before:.3f}", flush=True)
    return net


if __name__ == "__main__":
    torch.save(train(int(sys.argv[1]) if len(sys.argv) > 1 else 150).state_dict(), "learned_prior.pt")
