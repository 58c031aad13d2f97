"""Drive an optimizer until every problem has settled or the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.optim.objective import Objective
from torchsag.optim.optimizer import Optimizer


@dataclass(frozen=True)
class Minimum:
    """Where `minimize` ended; itself a `torchsag.optim.State`.

    Attributes
    ----------
    move
        Where each problem settled, or stood when the budget was spent.
    converged
        Which problems met the optimizer's stopping rule.
    passes
        Term evaluations spent, divided by the number of terms.
    settled_after
        Passes spent when each problem settled, or all of them.
    """

    move: Float[Tensor, "problems n"]
    converged: Bool[Tensor, " problems"]
    passes: float
    settled_after: Float[Tensor, " problems"]


def minimize(
    optimizer: Optimizer,
    objective: Objective,
    start: Float[Tensor, "problems n"],
    max_passes: float | int,
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> Minimum:
    """Step until all problems have converged or `max_passes` passes over the terms are spent.

    A problem that converges stays where it was at that moment while others go on, so that its result does not depend
    on which problems share its batch. The last step may overshoot the budget. `watch` is told after every step what
    each problem has spent, in passes, and where it stands.

    Raises
    ------
    InputError
        If `max_passes` is not positive, or the optimizer cannot work with this objective.
    """
    if not max_passes > 0:
        raise InputError(f"max_passes must be positive, got {max_passes}; 10 is a sensible start")
    state = optimizer.init(start, objective.num_terms)
    move, converged = state.move, state.converged
    settled_after = torch.zeros_like(start[:, 0])
    while state.passes < max_passes and not converged.all():
        state = optimizer.step(objective, state)
        move = torch.where(converged[:, None], move, state.move)
        settled_after = torch.where(converged, settled_after, state.passes)
        converged = converged | state.converged
        if watch is not None:
            watch(settled_after, move)
    return Minimum(move, converged, state.passes, settled_after)
