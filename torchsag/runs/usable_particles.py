"""Reading particles of which some may be of no use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch

from torchsag.particles import GriddedParticles, ParticleBatch, ParticleError, ParticleSet

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


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
    return of_usable(lambda good: particles.load(good, device), rows, skip_bad)


def load_usable_gridded(
    particles: ParticleSet, rows: Sequence[int], device: torch.device | str = "cpu", skip_bad: bool = True
) -> tuple[GriddedParticles | None, list[int], dict[int, str]]:
    """As `load_usable`, as sums in Fourier space want them."""
    return of_usable(lambda good: particles.load_gridded(good, device), rows, skip_bad)


def of_usable(
    make: Callable[[list[int]], Result], rows: Sequence[int], skip_bad: bool
) -> tuple[Result | None, list[int], dict[int, str]]:
    """What is made of those of some particles that can be used; as `load_usable`."""
    good: list[int] = list(rows)
    faults: dict[int, str] = {}
    while good:
        try:
            return make(good), good, faults
        except ParticleError as error:
            if not skip_bad:
                raise advised(error) from error
            faults |= error.faults
            good = [row for row in good if row not in faults]
    return None, good, faults


def seen_by(look: Callable[[ParticleSet, list[int]], Result], particles: ParticleSet, skip_bad: bool) -> Result | None:
    """What a look at particles with poses finds; None if no particle is left to look at.

    All of them could be used. Files of some may have gone since: these are left out of the look, and said, and their
    poses stand.

    Parameters
    ----------
    look
        Is given particles, and their positions in the set.
    particles
        The set.
    skip_bad
        Whether particles are left out instead of ending the run.

    Raises
    ------
    ParticleError
        If some can no longer be read and `skip_bad` is false.
    """

    def without(rows: list[int]) -> Result:
        try:
            return look(particles if len(rows) == len(particles) else particles.select(rows), rows)
        except ParticleError as error:
            raise ParticleError({rows[k]: reason for k, reason in error.faults.items()}) from error

    found, _, faults = of_usable(without, range(len(particles)), skip_bad)
    say_left_out(faults)
    return found


def say_set_aside(faults: Mapping[int, str]) -> None:
    """Of particles that the run goes without."""
    for reason in faults.values():
        _log.warning("set aside: %s", reason)


def say_left_out(faults: Mapping[int, str]) -> None:
    """Of particles whose poses stand."""
    for reason in faults.values():
        _log.warning("left out where the result is judged, its pose stands: %s", reason)


def advised(error: ParticleError) -> ParticleError:
    """With what can be done about it."""
    advice = "or add skip_bad=true to set it aside"
    return ParticleError({row: f"{reason}; {advice}" for row, reason in error.faults.items()})
