"""What every classification method offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torchsag.classification.membership import Membership
from torchsag.classification.population import Population


@dataclass(frozen=True)
class Division:
    """A division of the particles, after some rounds of a method.

    Attributes
    ----------
    membership
        In which class, at which candidate pose, each particle counts.
    best, best_value
        The best membership so far and its mean score per particle.
    rounds
        How many are done.
    finished
        Whether the method has come to its end.
    rows
        A table with one row per round.
    """

    membership: Membership
    best: Membership
    best_value: float = float("-inf")
    rounds: int = 0
    finished: bool = False
    rows: tuple[dict[str, Any], ...] = ()

    @staticmethod
    def of(membership: Membership) -> Division:
        """Where a method starts."""
        return Division(membership, membership)


@runtime_checkable
class Classifier(Protocol):
    """A method with its hyper-parameters: a frozen dataclass and one yaml under ``conf/method``."""

    def step(self, population: Population, division: Division, seed: int) -> Division:
        """One round: everything it knows of earlier ones is in `division`, so that a run may stop after any of them.

        Random numbers depend on the seed and the round alone.
        """
        ...


def run(method: Classifier, population: Population, division: Division, seed: int) -> Division:
    """All rounds of a method."""
    while not division.finished:
        division = method.step(population, division, seed)
    return division
