"""Drive an optimizer until every problem has settled or the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.optim.objective import Objective
from torchsag.optim.optimizer import Optimizer, own_passes
from torchsag.requirements import is_real, require_kind, require_tensor


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
    """Step until each problem has converged or has spent `max_passes` passes over the terms.

    A problem that is done stays where it was at that moment while others go on, so that its result does not depend
    on which problems share its batch. Its last step may overshoot the budget. `watch` is told after every step what
    each problem has spent, in passes, and where it stands.

    Raises
    ------
    InputError
        If `max_passes` is not positive, or the optimizer cannot work with this objective.
    """
    for name, given, kind in (("optimizer", optimizer, Optimizer), ("objective", objective, Objective)):
        require_kind(name, given, kind, f"an object with the methods of torchsag.optim.{kind.__name__}")
    require_tensor("start", start, ("problems", "n"))
    if not is_real(max_passes) or not max_passes > 0:
        raise InputError(f"max_passes must be positive, got {max_passes!r}; 10 is a sensible start")
    state = optimizer.init(start, objective.num_terms)
    move, converged = state.move, state.converged
    settled_after = torch.zeros_like(start[:, 0])
    going = ~converged
    while going.any():
        state = optimizer.step(objective, state)
        spent = own_passes(state)
        move = torch.where(going[:, None], state.move, move)
        settled_after = torch.where(going, spent, settled_after)
        converged = converged | (going & state.converged)
        going = going & ~converged & (spent < max_passes)
        if watch is not None:
            watch(settled_after, move)
    return Minimum(move, converged, state.passes, settled_after)
