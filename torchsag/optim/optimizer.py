"""How an optimizer is driven: a state, one step at a time."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.optim.objective import Objective


@runtime_checkable
class State(Protocol):
    """What every optimizer's state offers to whoever drives it."""

    @property
    def move(self) -> Float[Tensor, "problems n"]:
        """Where each problem stands."""
        ...

    @property
    def passes(self) -> float:
        """Term evaluations so far (gradients and values alike) divided by the number of terms."""
        ...

    @property
    def converged(self) -> Bool[Tensor, " problems"]:
        """Which problems have met the optimizer's own stopping rule."""
        ...


@runtime_checkable
class CountsApart(State, Protocol):
    """A state of problems that do not all need the same evaluations, as when each has a line search."""

    @property
    def own_passes(self) -> Float[Tensor, " problems"]:
        """What each problem would have spent alone, in passes: a budget must not depend on who shares the batch."""
        ...


def own_passes(state: State) -> Float[Tensor, " problems"]:
    """Passes that each problem has needed; the same for all where the state does not count them apart."""
    if isinstance(state, CountsApart):
        return state.own_passes
    return torch.full_like(state.move[:, 0], state.passes)


S = TypeVar("S", bound=State)


@runtime_checkable
class Optimizer(Protocol[S]):
    """Steps from one state to the next; holds hyper-parameters only."""

    def init(self, start: Float[Tensor, "problems n"], num_terms: int) -> S:
        """The state before the first step."""
        ...

    def step(self, objective: Objective, state: S) -> S:
        """One step of all problems; may reuse the memory of `state`, of which only the newest is to be kept."""
        ...
