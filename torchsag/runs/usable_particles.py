"""Reading particles of which some may be of no use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from torchsag.particles import GriddedParticles, ParticleBatch, ParticleError, ParticleSet

Batch = TypeVar("Batch")


def load_usable(
    particles: ParticleSet, rows: Sequence[int], device: torch.device | str = "cpu", skip_bad: bool = True
) -> tuple[ParticleBatch | None, list[int], dict[int, str]]:
    """Read those of some particles that can be used.

    Returns
    -------
    The batch, None if it is empty; the rows in it, in the order given; and for each other row what is wrong with it.

    Raises
    ------
    ParticleError
        If some cannot be used and `skip_bad` is false.
    """
    return _usable(lambda good: particles.load(good, device), rows, skip_bad)


def load_usable_gridded(
    particles: ParticleSet, rows: Sequence[int], device: torch.device | str = "cpu", skip_bad: bool = True
) -> tuple[GriddedParticles | None, list[int], dict[int, str]]:
    """As `load_usable`, as sums in Fourier space want them."""
    return _usable(lambda good: particles.load_gridded(good, device), rows, skip_bad)


def _usable(
    load: Callable[[list[int]], Batch], rows: Sequence[int], skip_bad: bool
) -> tuple[Batch | None, list[int], dict[int, str]]:
    good: list[int] = list(rows)
    faults: dict[int, str] = {}
    while good:
        try:
            return load(good), good, faults
        except ParticleError as error:
            if not skip_bad:
                advice = "or add skip_bad=true to set it aside"
                raise ParticleError({row: f"{reason}; {advice}" for row, reason in error.faults.items()}) from error
            faults |= error.faults
            good = [row for row in good if row not in faults]
    return None, good, faults
