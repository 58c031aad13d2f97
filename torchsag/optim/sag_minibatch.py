"""Stochastic average gradient, a batch of terms a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from torchsag.optim.objective import Objective
from torchsag.optim.sag import SAGState, advance_sag, begin_sag
from torchsag.optim.settings import BatchSettings
from torchsag.optim.term_order import (
    ShuffledBatches,
    batch_size,
    check_finite_sum,
    seeded_generator,
)


@dataclass(frozen=True, kw_only=True)
class SAGMinibatch(BatchSettings):
    """Algorithm 2 of Lü et al. 2019: `torchsag.optim.SAG` with a batch of terms a step, every term once a pass.

    The line search looks at the mean of the batch, whose L is smaller than a single term's: larger steps, fewer of
    them, and larger tensors for the hardware. The first pass is the paper's; later passes, which the paper does not
    make, take shorter steps (`later_step_fraction`), without which shuffled batches need not converge.

    Settings are those of `torchsag.optim.settings`.
    """

    def init(self, start: Float[Tensor, "problems n"], num_terms: int) -> SAGState:
        """The state before the first step; InputError if the loss is no sum of terms."""
        check_finite_sum(num_terms, "SAG")
        size = batch_size(num_terms, self.batch_fraction)
        order = ShuffledBatches(num_terms, size, seeded_generator(self.seed))
        return begin_sag(start, num_terms, self.start_lipschitz, order)

    def step(self, objective: Objective, state: SAGState) -> SAGState:
        """Visit one batch."""
        first_pass = state.order.completed_passes == 0
        batches = math.ceil(state.num_terms / batch_size(state.num_terms, self.batch_fraction))
        return advance_sag(objective, state, self.tolerance, 1.0 if first_pass else later_step_fraction(batches))


def later_step_fraction(num_batches: int) -> float:
    """Step length in units of 1 / L once every batch has been seen.

    The memory then lags by up to a pass. On a direction of curvature ``c``, ``x' = -(c / L) mean of x over the last
    num_batches steps`` oscillates and grows when ``c num_batches / L > pi^2 / 2`` (its characteristic equation
    ``z = -(c / L) (1 - exp(-z n)) / (z n)`` has the root ``z = i pi / n`` there). Since ``c <= L``, steps of at most
    ``3 / (L num_batches)`` are stable with a margin. Drawing with replacement (Algorithm 1) does not have this limit.
    """
    return min(1.0, 3.0 / num_batches)
