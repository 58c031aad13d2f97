"""How the temperature of an annealing falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torchsag.errors import InputError


@runtime_checkable
class Cooling(Protocol):
    """A schedule: a frozen dataclass and one yaml under ``conf/cooling``."""

    def temperatures(self) -> list[float]:
        """From the hottest to the coldest."""
        ...


def _check(start: float, steps: int) -> None:
    if not (start > 0 and steps >= 1):
        raise InputError(f"cooling: expected start above 0 and steps of at least 1, got {start} and {steps}")


@dataclass(frozen=True)
class LinearCooling:
    """From `start` towards zero in equal steps.

    Attributes
    ----------
    start
        First temperature, in standard deviations of the scores.
    steps
        How many temperatures.
    """

    start: float = 1.0
    steps: int = 10

    def __post_init__(self):
        _check(self.start, self.steps)

    def temperatures(self) -> list[float]:
        """The last is one step above zero."""
        return [self.start * (1 - step / self.steps) for step in range(self.steps)]


@dataclass(frozen=True)
class GeometricCooling:
    """Each temperature a fixed part of the one before.

    Attributes
    ----------
    start
        First temperature, in standard deviations of the scores.
    steps
        How many temperatures.
    factor
        The fixed part.
    """

    start: float = 1.0
    steps: int = 10
    factor: float = 0.7

    def __post_init__(self):
        _check(self.start, self.steps)
        if not 0 < self.factor < 1:
            raise InputError(f"factor: expected a part between 0 and 1, got {self.factor}")

    def temperatures(self) -> list[float]:
        """``start * factor^step``."""
        return [self.start * self.factor**step for step in range(self.steps)]
