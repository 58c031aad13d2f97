"""What the stochastic average gradient methods are told alike, and its ranges."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from torchsag.errors import InputError
from torchsag.optim.convergence import check_tolerance
from torchsag.optim.term_order import check_batch_fraction
from torchsag.requirements import is_real, require_whole


@dataclass(frozen=True, kw_only=True)
class StochasticSettings:
    """Step size, stopping rule and order of a method that visits terms at random.

    Attributes
    ----------
    start_lipschitz
        First guess of L, positive; the first step corrects it in both directions (the papers leave it to the user).
    tolerance
        A problem has converged when a pass changes its move by less (Euclidean norm, in the units of the move).
    seed
        Of the order of the terms.
    """

    start_lipschitz: float = 1.0
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self):
        check_start_lipschitz(self.start_lipschitz)
        check_tolerance(self.tolerance)
        require_whole("seed", self.seed)


@dataclass(frozen=True, kw_only=True)
class BatchSettings(StochasticSettings):
    """The same of a method that visits a batch of terms a step.

    Attributes
    ----------
    batch_fraction
        Part of the terms in a batch, above 0 and at most 1; Lü et al. use 1/16 to 1/2.
    """

    batch_fraction: float = 0.125

    def __post_init__(self):
        super().__post_init__()
        check_batch_fraction(self.batch_fraction)


def check_start_lipschitz(start_lipschitz: float) -> None:
    """Refuse a first guess of L that is not positive."""
    if not is_real(start_lipschitz) or not 0 < start_lipschitz < torch.inf:
        raise InputError(f"start_lipschitz must be positive and finite, got {start_lipschitz!r}; 1 will do")
