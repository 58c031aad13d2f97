"""Multi-reference classification with soft assignment: expectation maximisation for a mixture of averages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torchsag.classification.classifier import Division
from torchsag.classification.mco_exmx import assigned
from torchsag.classification.membership import posterior
from torchsag.classification.population import Population
from torchsag.errors import InputError


@dataclass(frozen=True)
class MultiReference:
    """Every particle counts in every class with its posterior probability, as likelihood and class size have it.

    Attributes
    ----------
    rounds
        At most this many rounds.
    changed
        The method ends when no larger part of the memberships moves in a round.
    """

    rounds: int = 50
    changed: float = 0.002

    def __post_init__(self):
        if self.rounds < 1:
            raise InputError(f"rounds: expected at least 1, got {self.rounds}")
        if not 0 <= self.changed < 1:
            raise InputError(f"changed: expected a part from 0 to below 1, got {self.changed}")

    def step(self, population: Population, division: Division, seed: int) -> Division:
        """Average with the present memberships, compare, weigh."""
        before = division.membership
        scores = population.scores(before, population.sums(before))
        # One particle's worth for every class, so that a class may come back.
        sizes = before.sum((0, 1)) + 1
        wanted = posterior(scores, sizes / sizes.sum())
        after = assigned(division, wanted, scores, 0, population)
        moved = float(0.5 * (wanted.sum(1) - before.sum(1)).abs().sum(1).mean())
        return replace(
            after,
            rows=(*after.rows[:-1], {**after.rows[-1], "changed": moved}),
            finished=moved <= self.changed or after.rounds >= self.rounds,
        )
