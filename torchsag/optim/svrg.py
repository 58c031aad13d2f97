"""SVRG: a full gradient now and then instead of a memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.optim.convergence import PassChange
from torchsag.optim.lipschitz import relax_lipschitz
from torchsag.optim.objective import Objective
from torchsag.optim.sag import estimate_lipschitz
from torchsag.optim.settings import BatchSettings
from torchsag.optim.term_order import (
    ShuffledBatches,
    TermOrder,
    batch_size,
    check_finite_sum,
    seeded_generator,
)
from torchsag.requirements import is_whole

_STEP_FRACTION = 1 / 3
"""Step length in units of 1 / L, as SAGA's; the theory of Johnson & Zhang (2013) asks for less, practice does not."""


@dataclass(frozen=True)
class SVRGState:
    """Where SVRG stands.

    Attributes
    ----------
    move
        Where each problem stands.
    lipschitz
        Each problem's estimate L.
    snapshot, snapshot_gradient
        Where the full gradient was last taken, and that gradient.
    order
        Which terms come next.
    inner_passes
        Passes completed since the snapshot.
    change
        Movement since the pass began.
    evaluations, num_terms
        Term evaluations so far, of all problems in step, and the number of terms.
    own_evaluations
        Those that each problem needed for itself.
    """

    move: Float[Tensor, "problems n"]
    lipschitz: Float[Tensor, " problems"]
    snapshot: Float[Tensor, "problems n"]
    snapshot_gradient: Float[Tensor, "problems n"]
    order: TermOrder
    inner_passes: int
    change: PassChange
    evaluations: int
    num_terms: int
    own_evaluations: Float[Tensor, " problems"]

    @property
    def passes(self) -> float:
        """Term evaluations divided by the number of terms."""
        return self.evaluations / self.num_terms

    @property
    def own_passes(self) -> Float[Tensor, " problems"]:
        """See `torchsag.optim.optimizer.CountsApart`."""
        return self.own_evaluations / self.num_terms

    @property
    def converged(self) -> Bool[Tensor, " problems"]:
        """Which problems moved less than the tolerance during the last pass."""
        return self.change.converged


@dataclass(frozen=True, kw_only=True)
class SVRG(BatchSettings):
    """Johnson & Zhang (2013): ``move -= (g_B(move) - g_B(snapshot) + full gradient at snapshot) / (3 L)``.

    Needs no memory per term, but evaluates every visited term twice and a full gradient per snapshot. L comes from
    the same line search as SAG's.

    Attributes
    ----------
    inner_passes
        Passes between snapshots, at least 1; the paper suggests 2 for convex losses and 5 otherwise.
    """

    inner_passes: int = 2

    def __post_init__(self):
        super().__post_init__()
        if not is_whole(self.inner_passes) or self.inner_passes < 1:
            raise InputError(f"inner_passes must be at least 1, got {self.inner_passes!r}; the paper suggests 2 to 5")

    def init(self, start: Float[Tensor, "problems n"], num_terms: int) -> SVRGState:
        """The state before the first step; InputError if the loss is no sum of terms."""
        check_finite_sum(num_terms, "SVRG")
        order = ShuffledBatches(num_terms, batch_size(num_terms, self.batch_fraction), seeded_generator(self.seed))
        lipschitz = start.new_full(start.shape[:1], self.start_lipschitz)
        nothing, unspent = torch.zeros_like(start), torch.zeros_like(lipschitz)
        return SVRGState(start, lipschitz, start, nothing, order, 0, PassChange.begin(start), 0, num_terms, unspent)

    def step(self, objective: Objective, state: SVRGState) -> SVRGState:
        """Visit one batch, after a full gradient where the last snapshot has served its passes."""
        first = state.evaluations == 0
        if first or state.inner_passes == self.inner_passes:
            state = _take_snapshot(objective, state)
        terms = state.order.draw().to(state.move.device)
        values, gradients = objective.gradients(state.move, terms)
        lipschitz, trials = estimate_lipschitz(objective, state.move, terms, values, gradients, state.lipschitz, first)
        reference = objective.gradients(state.snapshot, terms)[1]
        direction = (gradients - reference).mean(1) + state.snapshot_gradient
        move = state.move - _STEP_FRACTION * direction / lipschitz[:, None]
        return replace(
            state,
            move=move,
            lipschitz=relax_lipschitz(lipschitz, len(terms), state.num_terms),
            inner_passes=state.inner_passes + state.order.pass_complete,
            change=state.change.after(move, state.order.pass_complete, self.tolerance),
            evaluations=state.evaluations + len(terms) * (2 + int(trials.max())),
            own_evaluations=state.own_evaluations + len(terms) * (2 + trials),
        )


def _take_snapshot(objective: Objective, state: SVRGState) -> SVRGState:
    everything = torch.arange(state.num_terms, device=state.move.device)
    gradient = objective.gradients(state.move, everything)[1].mean(1)
    return replace(
        state,
        snapshot=state.move,
        snapshot_gradient=gradient,
        inner_passes=0,
        evaluations=state.evaluations + state.num_terms,
        own_evaluations=state.own_evaluations + state.num_terms,
    )
