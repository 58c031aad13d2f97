"""The optima of a particle's posterior: poses that it may have, and what speaks for each."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.likelihood.contenders import Contenders


@dataclass(frozen=True)
class PoseModes:
    """The same number of poses for each particle, the most probable first.

    Attributes
    ----------
    poses
        Rotations ``[particles, modes, 3, 3]`` and shifts ``[particles, modes, 3]``.
    gain
        In log-likelihood over no particle at all, at the amplitude that fits best; -inf fills the row of a particle
        that has fewer modes, NaN that of one without any.
    amplitude
        That amplitude, of the particle scaled to unit size.
    log_share
        Logarithm of the part of all poses that were possible that the optimum is wide.
    """

    poses: Poses
    gain: Float[Tensor, "particles modes"]
    amplitude: Float[Tensor, "particles modes"]
    log_share: Float[Tensor, "particles modes"]

    def __len__(self) -> int:
        return len(self.gain)

    def __getitem__(self, rows: Tensor) -> PoseModes:
        return PoseModes(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def concatenate(parts: list[PoseModes]) -> PoseModes:
        """Of particles one after another, as many modes of each."""
        poses = Poses.concatenate([part.poses for part in parts])
        others = (torch.cat([getattr(part, field.name) for part in parts]) for field in fields(PoseModes)[1:])
        return PoseModes(poses, *others)

    def to(self, device: torch.device | str) -> PoseModes:
        """The same on another device."""
        return PoseModes(*(getattr(self, field.name).to(device) for field in fields(self)))


def most_probable(
    contenders: Contenders,
    variance: Float[Tensor, " particles"],
    covariances: Float[Tensor, "contenders 6 6"],
    allowed: float,
    most: int,
) -> PoseModes:
    """The best candidates of each particle.

    Parameters
    ----------
    contenders
        At least one of every particle.
    variance
        Noise variance of each particle, in the units of the squared scores.
    covariances
        Of each contender's pose; NaN where the data determine none.
    allowed
        Volume of the poses that were possible beforehand, cubic radians times cubic voxels.
    most
        Modes of a particle; where it has fewer candidates its best one fills the row.
    """
    rows = _filled(contenders.by_rank(len(variance)), most)
    filling = rows < 0
    rows = torch.where(filling, rows[:, :1], rows)
    gain = 0.5 * contenders.score[rows].clamp_min(0).square() / variance[:, None]
    return PoseModes(
        poses=contenders.poses[rows],
        gain=gain.masked_fill(filling, -torch.inf),
        amplitude=contenders.amplitude[rows],
        log_share=_log_share(covariances, allowed)[rows],
    )


def _log_share(covariances: Float[Tensor, "poses 6 6"], allowed: float) -> Float[Tensor, " poses"]:
    """Logarithm of the part of the allowed volume that each Gaussian fills; all of it where the Gaussian is NaN."""
    volume = 3 * math.log(2 * math.pi) + 0.5 * torch.linalg.slogdet(covariances.double())[1] - math.log(allowed)
    return volume.nan_to_num(0.0).clamp_max(0.0).to(covariances)


def _filled(rows: Integer[Tensor, "particles ranks"], most: int) -> Integer[Tensor, "particles modes"]:
    """As many ranks as are wanted, with -1 where there are none."""
    missing = max(0, most - rows.shape[1])
    return torch.cat([rows[:, :most], rows.new_full((len(rows), missing), -1)], 1)
