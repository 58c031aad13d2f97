"""Where an average without a reference begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import shell_sums
from torchsag.geometry import Poses, random_rotations
from torchsag.particles import ParticleBatch, ParticleError, ParticleSet

_CHUNK = 64


@runtime_checkable
class Start(Protocol):
    """First poses: a frozen dataclass and one yaml under ``conf/start``."""

    def __call__(self, particles: ParticleSet, seed: int) -> Poses:
        """One pose per particle, float32; NaN for particles that have no part in the first references.

        The set says which half each particle is in.
        """
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
class BestParticles:
    """Each half begins with those of its particles that stand out most from their noise, turned at random.

    What stands out is the power at low resolution by that of the noise, measured at high resolution. One particle for
    each half is a reference with its own missing wedge but no other particle's blur.

    Attributes
    ----------
    per_half
        How many.
    resolution_angstrom
        Coarser than this counts as low resolution, finer than half of it as noise.
    """

    per_half: int = 1
    resolution_angstrom: float = 60.0

    def __post_init__(self):
        if self.per_half < 1 or not self.resolution_angstrom > 0:
            raise InputError(
                "start: expected per_half of at least 1 and resolution_angstrom above 0, got "
                f"{self.per_half} and {self.resolution_angstrom}"
            )

    @property
    def common_frame(self) -> bool:
        """Never."""
        return False

    def __call__(self, particles: ParticleSet, seed: int) -> Poses:
        """Random rotations for the best of each half, NaN for the others."""
        poses = RandomOrientations()(particles, seed)
        halves = torch.ones(len(particles)) if particles.halves is None else particles.halves
        contrast = self._contrast(particles)
        chosen = torch.zeros(len(particles), dtype=torch.bool)
        for half in halves.unique():
            members = (halves == half).nonzero()[:, 0]
            chosen[members[contrast[members].argsort(descending=True)[: self.per_half]]] = True
        return Poses(poses.rotations, torch.where(chosen[:, None], poses.shifts, torch.nan))

    def _contrast(self, particles: ParticleSet) -> Float[Tensor, " particles"]:
        shell = min(particles.box) * particles.voxel_size / self.resolution_angstrom
        low, high = max(1, round(shell)), round(2 * shell)
        if high >= min(particles.box) // 2:
            raise InputError(
                f"start.resolution_angstrom: expected more than {8 * particles.voxel_size:g} angstrom, four times the "
                f"finest detail, got {self.resolution_angstrom:g}"
            )
        contrast = torch.full((len(particles),), -torch.inf)  # whether the unreadable end the run is decided elsewhere
        for first in range(0, len(particles), _CHUNK):
            batch, rows = _readable(particles, list(range(first, min(first + _CHUNK, len(particles)))))
            if batch is None:
                continue
            power = shell_sums(batch.spectra.abs().square(), batch.box)
            measured = shell_sums((batch.weights > 0).to(power), batch.box)[batch.weight_index]
            contrast[rows] = (power[:, 1 : low + 1].sum(1) / measured[:, 1 : low + 1].sum(1)) / (
                power[:, high:].sum(1) / measured[:, high:].sum(1)
            ).clamp_min(1e-30)
        return contrast


def _readable(particles: ParticleSet, rows: list[int]) -> tuple[ParticleBatch | None, list[int]]:
    while rows:
        try:
            return particles.load(rows), rows
        except ParticleError as error:
            rows = [row for row in rows if row not in error.faults]
    return None, rows


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
