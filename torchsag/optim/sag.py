"""Stochastic average gradient, one random term a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.optim.convergence import PassChange
from torchsag.optim.gradient_memory import GradientMemory
from torchsag.optim.lipschitz import initial_lipschitz, raise_lipschitz, relax_lipschitz
from torchsag.optim.objective import Objective
from torchsag.optim.settings import StochasticSettings
from torchsag.optim.term_order import TermOrder, UniformDraws, check_finite_sum, seeded_generator


@dataclass(frozen=True)
class SAGState:
    """Where SAG stands.

    Attributes
    ----------
    move
        Where each problem stands.
    lipschitz
        Each problem's estimate L; steps have length ``1 / L``.
    memory
        The last gradient of each term.
    order
        Which terms come next.
    change
        Movement since the pass began.
    evaluations
        Term evaluations so far, gradients and values alike, of all problems in step.
    own_evaluations
        Those that each problem needed for itself.
    """

    move: Float[Tensor, "problems n"]
    lipschitz: Float[Tensor, " problems"]
    memory: GradientMemory
    order: TermOrder
    change: PassChange
    evaluations: int
    own_evaluations: Float[Tensor, " problems"]

    @property
    def num_terms(self) -> int:
        """Number of terms of the sum."""
        return self.memory.seen.shape[0]

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
class SAGOneTerm(StochasticSettings):
    """Algorithm 1 of Lü et al. 2019: the stochastic average gradient method of Le Roux, Schmidt & Bach (2012).

    Each step draws one term i, replaces its gradient in the memory and moves along the average of the memory:
    ``d += g_i - y_i; y_i = g_i; move -= d / (L m)``, where m counts the terms seen so far. L is found by a line search
    on the drawn term before each step and relaxed after it (see `torchsag.optim.lipschitz`), for each problem alone.

    It is not invariant to the scale of the unknowns: wrap it in `torchsag.optim.Preconditioned` where rotations and
    shifts are curved differently.

    Settings are those of `torchsag.optim.settings`.
    """

    def init(self, start: Float[Tensor, "problems n"], num_terms: int) -> SAGState:
        """The state before the first step; InputError if the loss is no sum of terms."""
        check_finite_sum(num_terms, "SAG")
        order = UniformDraws(num_terms, seeded_generator(self.seed))
        return begin_sag(start, num_terms, self.start_lipschitz, order)

    def step(self, objective: Objective, state: SAGState) -> SAGState:
        """Visit one term."""
        return advance_sag(objective, state, self.tolerance)


def begin_sag(start: Float[Tensor, "problems n"], num_terms: int, start_lipschitz: float, order: TermOrder) -> SAGState:
    """SAG before its first step, with any order of the terms."""
    lipschitz = start.new_full(start.shape[:1], start_lipschitz)
    return SAGState(
        start,
        lipschitz,
        GradientMemory.empty(start, num_terms),
        order,
        PassChange.begin(start),
        0,
        torch.zeros_like(lipschitz),
    )


def advance_sag(objective: Objective, state: SAGState, tolerance: float, step_fraction: float = 1.0) -> SAGState:
    """One SAG step of length ``step_fraction / L`` on the terms that come next; the line search takes their mean."""
    terms = state.order.draw().to(state.move.device)
    values, gradients = objective.gradients(state.move, terms)
    lipschitz, trials = estimate_lipschitz(
        objective, state.move, terms, values, gradients, state.lipschitz, first=state.evaluations == 0
    )
    state.memory.remember(terms, gradients)
    move = state.move - step_fraction * state.memory.average / lipschitz[:, None]
    return SAGState(
        move,
        relax_lipschitz(lipschitz, len(terms), state.num_terms),
        state.memory,
        state.order,
        state.change.after(move, state.order.pass_complete, tolerance),
        state.evaluations + len(terms) * (1 + int(trials.max())),
        state.own_evaluations + len(terms) * (1 + trials),
    )


def estimate_lipschitz(
    objective: Objective,
    move: Float[Tensor, "problems n"],
    terms: Tensor,
    values: Float[Tensor, "problems b"],
    gradients: Float[Tensor, "problems b n"],
    lipschitz: Float[Tensor, " problems"],
    first: bool,
) -> tuple[Float[Tensor, " problems"], Float[Tensor, " problems"]]:
    """L from the mean of some terms, and how often each problem needed their values."""
    gradient = gradients.mean(1)

    def value_at(trial: Float[Tensor, " problems"]) -> Float[Tensor, " problems"]:
        return objective.values(move - gradient / trial[:, None], terms).mean(1)

    search = initial_lipschitz if first else raise_lipschitz
    return search(value_at, values.mean(1), gradient.square().sum(-1), lipschitz)
