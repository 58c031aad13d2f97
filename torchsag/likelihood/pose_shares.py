"""How probable each pose of a particle is, beside that nothing is there, given what is common to all particles.

The evidence for a particle is the integral of its likelihood over all poses, by Laplace's approximation a sum over its
optima: the likelihood of each times the part of all poses that it is wide (MacKay 2003, Information Theory, Inference,
and Learning Algorithms, section 28.1: the Occam factor). Against it stands that of noise alone.

The best pose in pure noise has an amplitude, too: that of chance. So the amplitude is not each particle's own but that
of all, from within `_SPREAD` of it, and is found, as is the part of the particles that show nothing, by expectation
maximisation over the particles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.likelihood.modes import PoseModes

_SPREAD = 1.5  # particles are so much brighter or fainter than most
_STEPS = 20
_LEAST_NOTHING, _MOST_NOTHING = 0.01, 0.9  # part of the particles


@dataclass(frozen=True)
class PoseShares:
    """At which poses particles enter a sum.

    Attributes
    ----------
    poses
        Rotations ``[particles, modes, 3, 3]`` and shifts ``[particles, modes, 3]``.
    shares
        Of each; those of a particle add up to the probability that it shows anything.
    """

    poses: Poses
    shares: Float[Tensor, "particles modes"]

    @staticmethod
    def certain(poses: Poses) -> PoseShares:
        """One pose for each particle, as if nothing else were possible."""
        return PoseShares(poses[:, None], torch.ones_like(poses.shifts[:, :1]))

    def __getitem__(self, rows: Tensor) -> PoseShares:
        return PoseShares(self.poses[rows], self.shares[rows])

    def to(self, device: torch.device | str) -> PoseShares:
        """The same on another device."""
        return PoseShares(self.poses.to(device), self.shares.to(device))

    def above(self, least: float) -> PoseShares:
        """Without poses that have less than this part of their particle's probability; the others make up for them."""
        whole = self.shares.sum(1, keepdim=True)
        kept = torch.where(self.shares >= least * whole, self.shares, 0)
        return PoseShares(self.poses, kept * whole / kept.sum(1, keepdim=True).clamp_min(torch.finfo(kept.dtype).tiny))


def posterior_shares(modes: PoseModes) -> Float[Tensor, "particles modes"]:
    """The probability of each mode, for particles of one half; 0 for particles of which nothing is known."""
    known = modes.gain[:, 0].isfinite()
    shares = torch.zeros_like(modes.gain)
    if bool(known.any()):
        shares[known] = _of_known(modes[known]).to(shares)
    return shares


def _of_known(modes: PoseModes) -> Float[Tensor, "particles modes"]:
    gain, amplitude = modes.gain.double(), modes.amplitude.double().clamp_min(1e-30)
    log_share = modes.log_share.double()
    # Brightest beforehand: particles whose gain is that of most of the evidence.
    common = float((gain[:, 0] * amplitude[:, 0]).sum() / gain[:, 0].sum().clamp_min(1e-30))
    nothing, shares = 0.5, torch.zeros_like(gain)
    for _ in range(_STEPS):
        log_odds = math.log((1 - nothing) / nothing) + _log_evidence(gain, amplitude, log_share, common)
        shares = log_odds.softmax(1) * log_odds.logsumexp(1, keepdim=True).sigmoid()
        counted = torch.where(shares > 0, shares * gain, 0)  # a mode that only fills a row gains minus infinity
        common = float((counted / amplitude).sum() / (counted / amplitude.square()).sum().clamp_min(1e-300))
        nothing = float((1 - shares.sum(1)).mean().clamp(_LEAST_NOTHING, _MOST_NOTHING))
    return shares


def _log_evidence(gain: Tensor, amplitude: Tensor, log_share: Tensor, common: float) -> Tensor:
    """Of each mode at the amplitude nearest to its own that is within `_SPREAD` of the common one.

    At r times its own amplitude a mode gains ``2 r - r^2`` of what it does at its own, and is 1 / r as wide along each
    of the six degrees of freedom.
    """
    ratio = amplitude.clamp(common / _SPREAD, common * _SPREAD) / amplitude
    evidence = gain * (2 * ratio - ratio.square()) + (log_share - 6 * ratio.log()).clamp_max(0.0)
    return torch.where(gain.isfinite(), evidence, -torch.inf)
