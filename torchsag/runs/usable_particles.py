"""Reading particles of which some may be of no use."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from torchsag.particles import ParticleBatch, ParticleError, ParticleSet


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
    good, faults = list(rows), {}
    while good:
        try:
            return particles.load(good, device), good, faults
        except ParticleError as error:
            if not skip_bad:
                advice = "or add skip_bad=true to set it aside"
                raise ParticleError({row: f"{reason}; {advice}" for row, reason in error.faults.items()}) from error
            faults |= error.faults
            good = [row for row in good if row not in faults]
    return None, good, faults
