"""The likelihood of noise with heavy tails: outliers are expected, and hardly pull."""

from __future__ import annotations

from dataclasses import dataclass

from torchsag.errors import InputError
from torchsag.losses.loss import Residuals, SumOfPenalties


@dataclass(frozen=True)
class StudentT(SumOfPenalties):
    """Twice the negative log-likelihood ``(n + 1) log(1 + r^2 / (n - 2))`` of Student's t with unit variance.

    Source: Lange, Little & Taylor 1989, J. Am. Stat. Assoc. 84:881. A residual far out pulls less than one at
    ``sqrt(n - 2)``; with many degrees of freedom n this is the constrained distance.

    Attributes
    ----------
    freedom
        n, degrees of freedom, above 2: the fewer, the heavier the tails.
    """

    freedom: float = 5.0

    def __post_init__(self):
        if not self.freedom > 2:
            raise InputError(f"student t: expected more than 2 degrees of freedom, got {self.freedom}; try 5")

    def penalty(self, residual: Residuals) -> tuple[Residuals, Residuals, Residuals]:
        """The function, its derivative and its weight ``2 (n + 1) / (n - 2 + r^2)``."""
        squared, width = residual.square(), self.freedom - 2
        weight = 2 * (self.freedom + 1) / (width + squared)
        return (self.freedom + 1) * (squared / width).log1p(), residual * weight, weight
