"""Any optimizer of `torch.optim`, driven by an objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.optim.convergence import PassChange, check_tolerance
from torchsag.optim.objective import Objective
from torchsag.optim.term_order import ShuffledBatches, TermOrder, batch_size, check_batch_fraction, seeded_generator
from torchsag.requirements import require_whole


@dataclass(frozen=True)
class TorchOptimizerState:
    """Where a `torch.optim` optimizer stands.

    Attributes
    ----------
    move
        Where each problem stands.
    parameter, engine
        The tensor that torch's optimizer updates in place, and that optimizer.
    order
        Which terms come next.
    change
        Movement since the pass began.
    evaluations, num_terms
        Term evaluations so far, and the number of terms.
    """

    move: Float[Tensor, "problems n"]
    parameter: torch.nn.Parameter
    engine: torch.optim.Optimizer
    order: TermOrder
    change: PassChange
    evaluations: int
    num_terms: int

    @property
    def passes(self) -> float:
        """Term evaluations divided by the number of terms."""
        return self.evaluations / self.num_terms

    @property
    def converged(self) -> Bool[Tensor, " problems"]:
        """Which problems moved less than the tolerance during the last pass."""
        return self.change.converged


@dataclass(frozen=True)
class TorchOptimizer:
    """Minimises the mean of a batch of terms, summed over problems, with an optimizer of `torch.optim`.

    Optimizers that treat each number alone (SGD, Adam, ...) treat each problem alone. L-BFGS does not: it sees all
    problems as one, with one line search and one history, so its result depends on which problems share the batch.

    Attributes
    ----------
    name
        Dotted name of the class, such as ``torch.optim.Adam``; nothing outside `torch.optim` is accepted.
    arguments
        Its keyword arguments, such as ``{"lr": 0.05}``.
    batch_fraction
        Part of the terms in a batch, above 0 and at most 1; 1 gives full gradients, which L-BFGS needs.
    tolerance
        A problem has converged when a pass changes its move by less (Euclidean norm, in the units of the move).
    seed
        Of the order of the terms.
    """

    name: str = "torch.optim.Adam"
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"lr": 0.05})
    batch_fraction: float = 1.0
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self):
        check_batch_fraction(self.batch_fraction)
        check_tolerance(self.tolerance)
        require_whole("seed", self.seed)
        self._engine(torch.nn.Parameter(torch.zeros(1, 1)))

    def init(self, start: Float[Tensor, "problems n"], num_terms: int) -> TorchOptimizerState:
        """The state before the first step."""
        parameter = torch.nn.Parameter(start.detach().clone())
        order = ShuffledBatches(num_terms, batch_size(num_terms, self.batch_fraction), seeded_generator(self.seed))
        engine = self._engine(parameter)
        return TorchOptimizerState(start, parameter, engine, order, PassChange.begin(start), 0, num_terms)

    def step(self, objective: Objective, state: TorchOptimizerState) -> TorchOptimizerState:
        """One step of torch's optimizer on the next batch of terms."""
        terms = state.order.draw().to(state.move.device)
        calls = 0

        def closure() -> float:
            nonlocal calls
            calls += 1
            values, gradients = objective.gradients(state.parameter.detach(), terms)
            state.parameter.grad = gradients.mean(1)
            return float(values.mean(1).sum())

        state.engine.step(closure)
        move = state.parameter.detach().clone()
        return TorchOptimizerState(
            move,
            state.parameter,
            state.engine,
            state.order,
            state.change.after(move, state.order.pass_complete, self.tolerance),
            state.evaluations + calls * len(terms),
            state.num_terms,
        )

    def _engine(self, parameter: torch.nn.Parameter) -> torch.optim.Optimizer:
        prefix, _, stem = str(self.name).rpartition(".")
        kind = getattr(torch.optim, stem, None) if prefix == "torch.optim" else None
        if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)):
            raise InputError(f"name must be an optimizer of torch.optim such as torch.optim.Adam, got {self.name!r}")
        try:
            return kind([parameter], **self.arguments)
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.name} does not accept the arguments {dict(self.arguments)}: {error}") from error
