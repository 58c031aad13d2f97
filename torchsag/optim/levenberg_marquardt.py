"""Levenberg-Marquardt on all terms: the yardstick for stochastic methods."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.optim.convergence import check_tolerance
from torchsag.optim.normal_equations import damped_step, require_curvature
from torchsag.optim.objective import LeastSquaresObjective, Objective
from torchsag.requirements import is_real

_LEAST_DAMPING = 1e-12  # Damping must be able to grow again by factors.


@dataclass(frozen=True)
class Linearisation:
    """The loss, its gradient and its Gauss-Newton matrix at one move: means over all terms."""

    value: Float[Tensor, " problems"]
    gradient: Float[Tensor, "problems n"]
    curvature: Float[Tensor, "problems n n"]

    @staticmethod
    def at(objective: LeastSquaresObjective, move: Float[Tensor, "problems n"]) -> Linearisation:
        """Evaluate every term."""
        everything = torch.arange(objective.num_terms, device=move.device)
        values, gradients, blocks = objective.curvature(move, everything)
        return Linearisation(values.mean(1), gradients.mean(1), blocks.mean(1))

    def where(self, condition: Bool[Tensor, " problems"], other: Linearisation) -> Linearisation:
        """This one for the problems that meet the condition, the other for the rest."""
        return Linearisation(
            torch.where(condition, self.value, other.value),
            torch.where(condition[:, None], self.gradient, other.gradient),
            torch.where(condition[:, None, None], self.curvature, other.curvature),
        )


@dataclass(frozen=True)
class LevenbergMarquardtState:
    """Where Levenberg-Marquardt stands.

    Attributes
    ----------
    move
        Where each problem stands.
    linearisation
        The loss around it; None before the first step.
    damping
        Each problem's damping relative to its curvature.
    growth
        Factor by which the damping grows at the next rejection.
    evaluations, num_terms
        Term evaluations so far, and the number of terms.
    converged
        Which problems were last offered a step shorter than the tolerance.
    """

    move: Float[Tensor, "problems n"]
    linearisation: Linearisation | None
    damping: Float[Tensor, " problems"]
    growth: Float[Tensor, " problems"]
    evaluations: int
    num_terms: int
    converged: Bool[Tensor, " problems"]

    @property
    def passes(self) -> float:
        """Term evaluations divided by the number of terms."""
        return self.evaluations / self.num_terms


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Damped Gauss-Newton on the whole sum, each problem with its own damping.

    A step is taken where it lowers the loss; the damping follows the ratio of the true to the predicted decrease by
    Nielsen's rule (Madsen, Nielsen & Tingleff 2004, section 3.2). The loss never rises. For a constant damping with
    every step taken, use `torchsag.optim.CurvatureSAG` with ``batch_fraction = 1``.

    Attributes
    ----------
    start_damping
        First damping relative to the curvature, positive: 1e-3 for good starts, 1 for poor ones.
    tolerance
        A problem has converged when its next step would be shorter (Euclidean norm, in the units of the move).
    """

    start_damping: float = 1e-3
    tolerance: float = 1e-4

    def __post_init__(self):
        check_tolerance(self.tolerance)
        if not is_real(self.start_damping) or not self.start_damping > 0:
            raise InputError(f"start_damping must be positive, got {self.start_damping!r}; 1e-3 suits a good start")

    def init(self, start: Float[Tensor, "problems n"], num_terms: int) -> LevenbergMarquardtState:
        """The state before the first step."""
        damping = start.new_full(start.shape[:1], self.start_damping)
        unsettled = torch.zeros_like(damping, dtype=torch.bool)
        return LevenbergMarquardtState(start, None, damping, torch.full_like(damping, 2.0), 0, num_terms, unsettled)

    def step(self, objective: Objective, state: LevenbergMarquardtState) -> LevenbergMarquardtState:
        """One trial step of every problem; InputError if the objective offers no curvature."""
        least_squares = require_curvature(objective, "LevenbergMarquardt")
        here = state.linearisation or Linearisation.at(least_squares, state.move)
        step = damped_step(here.curvature, here.gradient, state.damping)
        # The trial is linearised at once: where it is accepted, which is nearly always, the next step needs no pass.
        there = Linearisation.at(least_squares, state.move + step)
        gain = (here.value - there.value) / _predicted_decrease(here, step)
        accepted = gain > 0
        damping, growth = _nielsen(state.damping, state.growth, gain)
        linearisations = 1 if state.linearisation else 2
        return LevenbergMarquardtState(
            torch.where(accepted[:, None], state.move + step, state.move),
            there.where(accepted, here),
            damping,
            growth,
            state.evaluations + linearisations * state.num_terms,
            state.num_terms,
            step.norm(dim=-1) <= self.tolerance,
        )


def _predicted_decrease(here: Linearisation, step: Float[Tensor, "problems n"]) -> Float[Tensor, " problems"]:
    bent = (here.curvature @ step[..., None])[..., 0]
    decrease = -(step * (here.gradient + bent / 2)).sum(-1)
    return decrease.clamp_min(torch.finfo(step.dtype).tiny)


def _nielsen(damping: Tensor, growth: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    # A gain that is not a number counts as a rejection.
    accepted = gain > 0
    shrink = (1 - (2 * gain - 1) ** 3).clamp_min(1 / 3)
    raised = torch.where(accepted, damping * shrink, damping * growth)
    return raised.clamp_min(_LEAST_DAMPING), torch.where(accepted, 2.0, 2 * growth)
