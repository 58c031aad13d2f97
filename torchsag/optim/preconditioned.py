"""Any optimizer, run in scaled variables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.optim.objective import Objective
from torchsag.optim.optimizer import Optimizer, State, own_passes
from torchsag.optim.scaled_objective import scale_objective
from torchsag.optim.scaling import Scaling


@dataclass(frozen=True)
class PreconditionedState:
    """Where an optimizer in scaled variables stands.

    Attributes
    ----------
    inner
        The wrapped optimizer's state; its move is ``u``.
    origin
        The move where ``u = 0``: the start.
    basis
        ``move = origin + basis u``; None before the first step, which derives it.
    scaling_evaluations, num_terms
        Term evaluations that the basis cost, and the number of terms.
    """

    inner: State
    origin: Float[Tensor, "problems n"]
    basis: Float[Tensor, "problems n n"] | None
    scaling_evaluations: int
    num_terms: int

    @property
    def move(self) -> Float[Tensor, "problems n"]:
        """Where each problem stands, in its own units."""
        if self.basis is None:
            return self.origin
        return self.origin + (self.basis @ self.inner.move[..., None])[..., 0]

    @property
    def passes(self) -> float:
        """The wrapped optimizer's passes and those of the scaling."""
        return self.inner.passes + self.scaling_evaluations / self.num_terms

    @property
    def own_passes(self) -> Float[Tensor, " problems"]:
        """See `torchsag.optim.optimizer.CountsApart`."""
        return own_passes(self.inner) + self.scaling_evaluations / self.num_terms

    @property
    def converged(self) -> Bool[Tensor, " problems"]:
        """By the wrapped optimizer's rule, in scaled units."""
        return self.inner.converged


@dataclass(frozen=True)
class Preconditioned:
    """Runs an optimizer in variables in which all unknowns are curved alike.

    Gradient methods need it wherever rotations (radians) meet shifts (voxels). The wrapped optimizer's tolerances and
    radii are then in scaled units: voxels for `LengthScaling`; for `Whitening`, where the terms add up to a negative
    log-likelihood, one standard error of the answer is ``1 / sqrt(num_terms)`` in every direction.

    Attributes
    ----------
    optimizer
        What runs in the scaled variables.
    scaling
        How the variables are scaled; asked once, at the start.
    """

    optimizer: Optimizer
    scaling: Scaling

    def init(self, start: Float[Tensor, "problems n"], num_terms: int) -> PreconditionedState:
        """The state before the first step."""
        inner = self.optimizer.init(torch.zeros_like(start), num_terms)
        return PreconditionedState(inner, start, None, 0, num_terms)

    def step(self, objective: Objective, state: PreconditionedState) -> PreconditionedState:
        """One step of the wrapped optimizer; the first derives the scaling."""
        basis = state.basis
        if basis is None:
            basis, evaluations = self.scaling.basis(objective, state.origin)
            state = replace(state, basis=basis, scaling_evaluations=evaluations)
        scaled = scale_objective(objective, state.origin, basis)
        return replace(state, inner=self.optimizer.step(scaled, state.inner))
