"""The last gradient seen of every term, and their running sum: what SAG and SAGA remember."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor


@dataclass
class GradientMemory:
    """One gradient per problem and term; unseen terms hold zero. Updated in place.

    Attributes
    ----------
    gradients
        ``y_i``, the gradient of each term where it was last visited.
    total
        ``d = sum_i y_i``, kept up to date rather than summed anew.
    seen
        Which terms have been visited.
    """

    gradients: Float[Tensor, "problems terms n"]
    total: Float[Tensor, "problems n"]
    seen: Bool[Tensor, " terms"]

    @staticmethod
    def empty(like: Float[Tensor, "problems n"], num_terms: int) -> GradientMemory:
        """A memory of nothing, with the moves' shape, dtype and device."""
        problems, n = like.shape
        return GradientMemory(
            like.new_zeros(problems, num_terms, n),
            torch.zeros_like(like),
            torch.zeros(num_terms, dtype=torch.bool, device=like.device),
        )

    def recall(self, terms: Integer[Tensor, " b"]) -> Float[Tensor, "problems b n"]:
        """The remembered gradients of some terms."""
        return self.gradients[:, terms]

    def remember(self, terms: Integer[Tensor, " b"], gradients: Float[Tensor, "problems b n"]) -> None:
        """Replace the gradients of distinct terms."""
        self.total += (gradients - self.gradients[:, terms]).sum(1)
        self.gradients[:, terms] = gradients
        self.seen[terms] = True

    @property
    def average(self) -> Float[Tensor, "problems n"]:
        """``d / m`` with m the number of terms seen so far."""
        return self.total / self.seen.sum()
