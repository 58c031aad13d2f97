"""At which poses a particle enters the average: the best one, or all that its data leave open.

An average over all poses with their probabilities is the step of expectation maximisation that maximises the likelihood
of the map, ``sum_p sum_j P_pj W P_p / sum_p sum_j P_pj W^2`` for particle p at pose j (Scheres 2012, J. Mol. Biol.
415:406, equation 4). Data and weight are shared out alike, so nothing has to be damped besides: an average of draws
from the posterior is one of draws from the truth, if the model is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.likelihood.modes import PoseModes
from torchsag.likelihood.pose_shares import PoseShares, posterior_shares


@runtime_checkable
class Assignment(Protocol):
    """A rule: a frozen dataclass and one yaml under ``conf/assignment``."""

    @property
    def modes(self) -> int:
        """How many poses of a particle it wants to know, at most."""
        ...

    def __call__(self, poses: Poses, modes: PoseModes | None, halves: Integer[Tensor, " particles"]) -> PoseShares:
        """Poses and shares of each particle.

        Parameters
        ----------
        poses
            The best pose of each.
        modes
            All poses that are known; None where nothing but the best is.
        halves
            1 or 2; what is common to particles is asked of each half by itself.
        """
        ...


@dataclass(frozen=True)
class BestPose:
    """Each particle at its best pose."""

    @property
    def modes(self) -> int:
        """One."""
        return 1

    def __call__(self, poses: Poses, modes: PoseModes | None, halves: Integer[Tensor, " particles"]) -> PoseShares:
        """The best pose, with a share of one."""
        return PoseShares.certain(poses)


@dataclass(frozen=True)
class Posterior:
    """Each particle at all poses that its posterior supports, each with the pose's probability.

    That of all poses together is less than one where a particle may show nothing (`torchsag.likelihood.pose_shares`).

    Attributes
    ----------
    modes
        At most so many poses of one particle.
    least
        Poses that have less than this part of their particle's probability are left out.
    """

    modes: int = 4
    least: float = 0.01

    def __post_init__(self):
        if self.modes < 1:
            raise InputError(f"assignment.modes: expected a number of poses, at least 1, got {self.modes}")
        if not 0 <= self.least < 1:
            raise InputError(f"assignment.least: expected a probability, 0 or more and below 1, got {self.least}")

    def __call__(self, poses: Poses, modes: PoseModes | None, halves: Integer[Tensor, " particles"]) -> PoseShares:
        """The poses that count; the best one alone where no others are known."""
        if modes is None:
            return PoseShares.certain(poses)
        shares = torch.zeros_like(modes.gain)
        for half in halves.unique():
            shares[halves == half] = posterior_shares(modes[halves == half])
        return PoseShares(modes.poses, shares).above(self.least)
