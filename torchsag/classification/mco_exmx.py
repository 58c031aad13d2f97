"""MCO-EXMX: multiple correlation optimisation by expectation and maximisation, hard assignment to class averages.

As PyTom has it (Hrabe et al. 2012, J. Struct. Biol. 178:177): average each class, compare every particle with every
average, move it to the best. Here a particle is left out of the average it is compared with, without which its own
noise would keep it where it is, and the comparison is a log-likelihood over the band, not a correlation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torchsag.classification.classifier import Division
from torchsag.classification.membership import Membership, best, kept_alive, labels
from torchsag.classification.population import Population
from torchsag.errors import InputError


@dataclass(frozen=True)
class MCOEXMX:
    """Hard assignment until it stands still.

    Attributes
    ----------
    rounds
        At most this many rounds.
    changed
        The method ends when no larger part of the particles changes class in a round.
    least
        Members that no class falls below.
    """

    rounds: int = 30
    changed: float = 0.005
    least: int = 3

    def __post_init__(self):
        if self.rounds < 1 or self.least < 0:
            raise InputError(
                f"method: expected rounds of at least 1 and least of at least 0, got {self.rounds} and {self.least}"
            )
        if not 0 <= self.changed < 1:
            raise InputError(f"changed: expected a part from 0 to below 1, got {self.changed}")

    def step(self, population: Population, division: Division, seed: int) -> Division:
        """Average, compare, assign."""
        scores = population.scores(division.membership, population.sums(division.membership))
        after = assigned(division, best(scores), scores, self.least, population)
        still = after.rows[-1]["changed"] <= self.changed
        return replace(after, finished=still or after.rounds >= self.rounds)


def assigned(
    before: Division, wanted: Membership, scores: Membership, least: int, population: Population, **notes: float
) -> Division:
    """The next division: `wanted` with every class kept alive. `scores` were measured with ``before.membership``."""
    value = float((before.membership * scores).sum((1, 2)).mean())
    formed = scores.shape[2] - int(population.noise_class)
    after = kept_alive(wanted, scores, least, formed)
    moved = float((labels(after) != labels(before.membership)).float().mean())
    row = {"round": before.rounds + 1, "score": value, "changed": moved, **notes, "sizes": _sizes(after)}
    improved = value > before.best_value
    return replace(
        before,
        membership=after,
        best=before.membership if improved else before.best,
        best_value=value if improved else before.best_value,
        rounds=before.rounds + 1,
        rows=(*before.rows, row),
    )


def _sizes(membership: Membership) -> list[float]:
    return [round(size, 1) for size in membership.sum((0, 1)).tolist()]
