"""How much each particle counts in its half's map, once it has been aligned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError


@runtime_checkable
class Strength(Protocol):
    """A rule: a frozen dataclass and one yaml under ``conf/strength``."""

    def __call__(
        self,
        scores: Float[Tensor, " particles"],
        ambiguity: Float[Tensor, " particles"],
        halves: Integer[Tensor, " particles"],
    ) -> Float[Tensor, " particles"]:
        """A factor for each particle's part of the sums.

        Parameters
        ----------
        scores
            Correlation with the reference; NaN for particles that were not aligned yet.
        ambiguity
            Posterior probability that the pose lies elsewhere; NaN where a method gives none.
        halves
            1 or 2; a rule that ranks particles ranks them within their half.
        """
        ...


@dataclass(frozen=True)
class Equal:
    """Every particle counts the same."""

    def __call__(self, scores: Tensor, ambiguity: Tensor, halves: Tensor) -> Float[Tensor, " particles"]:
        """One for each."""
        return torch.ones(len(scores))


@dataclass(frozen=True)
class BestScores:
    """The particles with the best scores of each half, the others not at all.

    Attributes
    ----------
    part
        How many of each half, as a part of it.
    """

    part: float = 0.8

    def __post_init__(self):
        if not 0 < self.part <= 1:
            raise InputError(f"part: expected a part above 0 and at most 1, got {self.part}")

    def __call__(self, scores: Tensor, ambiguity: Tensor, halves: Tensor) -> Float[Tensor, " particles"]:
        """One or zero; one for all where nothing has a score yet."""
        strength = torch.ones(len(scores))
        for half in halves.unique():
            judged = ((halves == half) & scores.isfinite()).nonzero()[:, 0]
            worst = int((1 - self.part) * len(judged))
            strength[judged[scores[judged].argsort()[:worst]]] = 0
        return strength


@dataclass(frozen=True)
class PoseProbability:
    """The posterior probability of the pose found, against the other poses that the search had come up with."""

    def __call__(self, scores: Tensor, ambiguity: Tensor, halves: Tensor) -> Float[Tensor, " particles"]:
        """``1 - ambiguity``; one where a method gives none."""
        return (1 - ambiguity.float()).nan_to_num(1.0).clamp(1e-3, 1.0)
