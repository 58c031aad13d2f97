"""Where an average without a reference begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from torchsag.errors import InputError
from torchsag.geometry import Poses, random_rotations
from torchsag.particles import ParticleSet


@runtime_checkable
class Start(Protocol):
    """First poses: a frozen dataclass and one yaml under ``conf/start``."""

    def __call__(self, particles: ParticleSet, seed: int) -> Poses:
        """One pose per particle, float32."""
        ...

    @property
    def common_frame(self) -> bool:
        """Whether the poses of both halves refer to one frame."""
        ...


@dataclass(frozen=True)
class RandomOrientations:
    """Every particle turned at random about its listed position: the rule of Lü et al. 2019, free of any reference."""

    @property
    def common_frame(self) -> bool:
        """Never."""
        return False

    def __call__(self, particles: ParticleSet, seed: int) -> Poses:
        """Uniform rotations; listed shifts, or none."""
        rotations = random_rotations(len(particles), torch.Generator().manual_seed(seed))
        shifts = torch.zeros(len(particles), 3) if particles.poses is None else particles.poses.shifts.float()
        return Poses(rotations, shifts)


@dataclass(frozen=True)
class ListedPoses:
    """The poses of the particle list, as from an earlier run or from the geometry of picking."""

    @property
    def common_frame(self) -> bool:
        """Always."""
        return True

    def __call__(self, particles: ParticleSet, seed: int) -> Poses:
        """The list's poses.

        Raises
        ------
        InputError
            If the list has none.
        """
        if particles.poses is None:
            raise InputError(
                "start=listed_poses: expected a list with poses, got one without; use start=random_orientations"
            )
        return particles.poses.to(torch.float32)
