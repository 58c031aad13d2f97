"""SAGA: SAG's memory with an unbiased step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.optim.lipschitz import relax_lipschitz
from torchsag.optim.objective import Objective
from torchsag.optim.sag import SAGState, begin_sag, estimate_lipschitz
from torchsag.optim.settings import BatchSettings
from torchsag.optim.term_order import (
    ShuffledBatches,
    batch_size,
    check_finite_sum,
    seeded_generator,
)

_STEP_FRACTION = 1 / 3
"""Step length in units of 1 / L: Defazio, Bach & Lacoste-Julien 2014, section 2."""


@dataclass(frozen=True, kw_only=True)
class SAGA(BatchSettings):
    """Defazio, Bach & Lacoste-Julien (2014): ``move -= (g_B - y_B + mean y) / (3 L)`` over a batch B of terms.

    Unlike SAG its direction is an unbiased estimate of the gradient, at the price of shorter steps. As in the paper
    the memory is filled at the start, which costs one pass. L comes from the same line search as SAG's.

    Settings are those of `torchsag.optim.settings`.
    """

    def init(self, start: Float[Tensor, "problems n"], num_terms: int) -> SAGState:
        """The state before the first step; InputError if the loss is no sum of terms."""
        check_finite_sum(num_terms, "SAGA")
        size = batch_size(num_terms, self.batch_fraction)
        order = ShuffledBatches(num_terms, size, seeded_generator(self.seed))
        return begin_sag(start, num_terms, self.start_lipschitz, order)

    def step(self, objective: Objective, state: SAGState) -> SAGState:
        """Visit one batch; the first step also visits all terms to fill the memory."""
        first = state.evaluations == 0
        if first:
            state = _fill_memory(objective, state)
        terms = state.order.draw().to(state.move.device)
        values, gradients = objective.gradients(state.move, terms)
        lipschitz, trials = estimate_lipschitz(objective, state.move, terms, values, gradients, state.lipschitz, first)
        direction = (gradients - state.memory.recall(terms)).mean(1) + state.memory.average
        state.memory.remember(terms, gradients)
        move = state.move - _STEP_FRACTION * direction / lipschitz[:, None]
        return replace(
            state,
            move=move,
            lipschitz=relax_lipschitz(lipschitz, len(terms), state.num_terms),
            change=state.change.after(move, state.order.pass_complete, self.tolerance),
            evaluations=state.evaluations + len(terms) * (1 + int(trials.max())),
            own_evaluations=state.own_evaluations + len(terms) * (1 + trials),
        )


def _fill_memory(objective: Objective, state: SAGState) -> SAGState:
    everything = torch.arange(state.num_terms, device=state.move.device)
    state.memory.remember(everything, objective.gradients(state.move, everything)[1])
    return replace(
        state,
        evaluations=state.evaluations + state.num_terms,
        own_evaluations=state.own_evaluations + state.num_terms,
    )
