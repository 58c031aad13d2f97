"""A learned prior on the map: a small network denoises each half's references, by itself; half-maps stay raw sums.

    cd experiments/examples && python prior_training.py        # learns for a minute, leaves learned_prior.pt
    torchsag average particles=P out=DIR regularisation=learned 'hydra.searchpath=[file://conf]' 'allow=[learned_prior]'

The network knows no place in the box, and so brings the halves no common shape; it was taught 14 angstrom a voxel.
What it gains: averaging_with_prior.py.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from torchsag.averaging.regularisation import ShellWeight
from torchsag.errors import InputError
from torchsag.fourier import shell_sums, to_half_spectrum


def network():
    """Four convolutions, 4,104 weights, that go round the box's edges."""
    sizes = ((2, 8, 1), (8, 8, 2), (8, 8, 2), (8, 1, 1))  # channels in and out, dilation
    layers = [nn.Conv3d(i, o, 3, padding=d, dilation=d, padding_mode="circular", bias=False) for i, o, d in sizes]
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]


def denoised(net, volume, trust):
    """A filtered map and what the network, told how much noise the filter must have left, adds to it."""
    power = shell_sums(to_half_spectrum(volume.density).abs().square(), volume.box)[: len(trust)]
    level = (power * (1 - trust) / trust.clamp_min(0.05)).sum().div(power.sum().clamp_min(1e-30)).sqrt()
    scale = volume.density.std().clamp_min(1e-30)
    seen = torch.stack([volume.density / scale, level.expand(volume.box)])
    return replace(volume, density=volume.density + scale * net(seen[None])[0, 0])


@dataclass(frozen=True)
class LearnedPrior:
    """A `torchsag.averaging.regularisation.Regularisation`; `weights` is the file that training leaves."""

    weights: str

    def __post_init__(self):
        trained(self.weights)  # what is missing is said before the work

    def __call__(self, sums, symmetry, trust):
        """The default references, denoised one by one."""
        with torch.no_grad():
            return tuple(denoised(trained(self.weights), v, trust) for v in ShellWeight()(sums, symmetry, trust))


@cache
def trained(path):
    """The network with the weights in a file."""
    if not Path(path).is_file():
        raise InputError(f"regularisation.weights: expected what prior_training.py leaves, found no file {path}")
    (net := network()).load_state_dict(torch.load(path, weights_only=True))
    return net
