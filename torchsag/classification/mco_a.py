"""MCO-A: MCO-EXMX under simulated annealing (Hrabe et al. 2012; used by Lü et al. 2019).

Some rounds of hard assignment, then particles move to classes drawn at a temperature that falls to zero, in units of
the standard deviation of the scores. The best division met on the way is the result, brought to rest by hard
assignment. Drawn from the softmax of the scores instead of walking through the classes in the order of their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from torchsag.classification.classifier import Division
from torchsag.classification.cooling import Cooling, LinearCooling
from torchsag.classification.mco_exmx import MCOEXMX, assigned
from torchsag.classification.membership import best, drawn
from torchsag.classification.population import Population
from torchsag.errors import InputError


@dataclass(frozen=True)
class MCOA:
    """Annealed assignment, then hard assignment from the best division met.

    Attributes
    ----------
    cooling
        The temperatures, in standard deviations of the scores about each particle's mean.
    hard_rounds
        Rounds of hard assignment after each draw.
    end
        Brings the best division to rest.
    """

    cooling: Cooling = field(default_factory=LinearCooling)
    hard_rounds: int = 2
    end: MCOEXMX = field(default_factory=MCOEXMX)

    def __post_init__(self):
        if self.hard_rounds < 0:
            raise InputError(f"hard_rounds: expected at least 0, got {self.hard_rounds}")

    def step(self, population: Population, division: Division, seed: int) -> Division:
        """One draw, or one round of hard assignment."""
        temperatures = self.cooling.temperatures()
        draw, place = divmod(division.rounds, self.hard_rounds + 1)
        if draw >= len(temperatures):
            return self._end(population, division, seed)
        scores = population.scores(division.membership, population.sums(division.membership))
        temperature = temperatures[draw] if place == 0 else 0.0
        if temperature > 0:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + division.rounds)
            wanted = drawn(scores, temperature * _spread(scores, population.noise_class), generator)
        else:
            wanted = best(scores)
        return assigned(division, wanted, scores, self.end.least, population, temperature=temperature)

    def _end(self, population: Population, division: Division, seed: int) -> Division:
        annealed = len(self.cooling.temperatures()) * (self.hard_rounds + 1)
        if division.rounds == annealed:
            division = replace(division, membership=division.best)
        after = self.end.step(population, division, seed)
        return replace(after, finished=after.finished or after.rounds - annealed >= self.end.rounds)


def _spread(scores: torch.Tensor, noise_class: bool) -> float:
    """Standard deviation of the scores of formed classes about each particle's mean."""
    formed = scores[:, :, :-1] if noise_class else scores
    highest = formed.amax(1)
    return float((highest - highest.mean(1, keepdim=True)).std())
