"""Weights that act along the tilt axis only through the frequency's length.

A weight ``h(|k|) H(k_x, k_z)`` can be applied in two halves: the isotropic h to the reference before it is rotated, H
inside each plane of constant y. A binary wedge of a single-axis tilt series is of this form with h = 1; weights of
CTFs nearly are, because defocus changes little between tilts (h) and the density of measured planes depends on
k_x and k_z (H).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Box
from torchsag.fourier import half_frequencies, hermitian_multiplicity

# Alternating least squares; the fit no longer changes in the third digit after a few rounds.
_ROUNDS = 12
# Largest factor by which noise in a poorly measured coefficient may be raised; more costs precision, less costs bias.
_LARGEST_GAIN = 2.0


@dataclass(frozen=True)
class SeparableWeight:
    """The best separable approximation of some weights.

    Attributes
    ----------
    radial
        ``h(|k|)`` in half-spectrum layout.
    planar
        ``H(k_x, k_z)``.
    gain
        What turns a particle with the true weight W into one with the weight ``h H``: ``h H / W``, at most 2, and zero
        where nothing was measured.
    """

    radial: Float[Tensor, "weights z y kx"]
    planar: Float[Tensor, "weights z kx"]
    gain: Float[Tensor, "weights z y kx"]


def separate(weights: Float[Tensor, "weights z y kx"], band: Float[Tensor, "z y kx"], box: Box) -> SeparableWeight:
    """Fit ``h(|k|) H(k_x, k_z)`` to weights inside a band (one inside, zero outside) by least squares.

    A weight that does not depend on k_y is reproduced exactly, with h = 1.
    """
    counted = hermitian_multiplicity(box, weights.device) * band
    radius = half_frequencies(box, weights.device).norm(dim=-1) * max(box)
    radial = torch.ones_like(weights)
    for _ in range(_ROUNDS):
        planar = _ratio((counted * weights * radial).sum(-2), (counted * radial.square()).sum(-2))
        radial = _radial_fit(weights, planar[..., None, :].expand_as(weights), counted, radius)
    planar = _ratio((counted * weights * radial).sum(-2), (counted * radial.square()).sum(-2))
    target = radial * planar[..., None, :]
    gain = torch.where(weights > 0, target / weights.clamp_min(torch.finfo(weights.dtype).tiny), 0.0)
    return SeparableWeight(radial * band, planar, gain.clamp_max(_LARGEST_GAIN) * band)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > 0, numerator / denominator.clamp_min(torch.finfo(numerator.dtype).tiny), 0.0)


def _radial_fit(weights: Tensor, planar: Tensor, counted: Tensor, radius: Tensor) -> Tensor:
    """``h`` at whole shells by least squares around each, linear between them; one where nothing says otherwise."""
    below = radius.floor().long()
    fraction = radius - below
    shells = int(below.max()) + 2

    def by_shell(values: Tensor) -> Tensor:
        sums = values.new_zeros(len(values), shells)
        sums.index_add_(1, below.flatten(), (values * (1 - fraction)).flatten(1))
        return sums.index_add_(1, below.flatten() + 1, (values * fraction).flatten(1))

    power = by_shell(counted * planar.square())
    profile = torch.where(power > 0, _ratio(by_shell(counted * weights * planar), power), 1.0)
    return profile[:, below] * (1 - fraction) + profile[:, below + 1] * fraction
