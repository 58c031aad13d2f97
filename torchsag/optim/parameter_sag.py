"""SAG for ordinary parameters: any autograd loss that is a sum over terms, no `Objective` needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.optim.lipschitz import initial_lipschitz, raise_lipschitz, relax_lipschitz
from torchsag.optim.settings import check_start_lipschitz
from torchsag.optim.term_order import check_finite_sum


class ParameterSAG(torch.optim.Optimizer):
    """`torchsag.optim.SAG` as a `torch.optim.Optimizer`.

    Parameters
    ----------
    params
        Tensors, or groups of them. A group may set ``scale``: its unknowns are measured in that unit, so that a group
        of radians and one of voxels can share one step size (0.05 for rotations of a particle of radius 20 voxels).
    num_terms
        Number of terms of the loss, at least 2.
    lipschitz
        First guess of L, positive; corrected by the first step. Kept, with its later values, in every group.
    scale
        Unit of the unknowns of groups that do not set their own.

    Examples
    --------
    >>> x = torch.zeros(2, requires_grad=True)
    >>> targets = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> optimizer = ParameterSAG([x], num_terms=2)
    >>> for step in range(60):
    ...     term = step % 2
    ...     def closure():
    ...         optimizer.zero_grad()
    ...         loss = (x - targets[term]).square().sum()
    ...         loss.backward()
    ...         return loss
    ...     loss = optimizer.step(closure, term)
    >>> x.detach().round(decimals=3)
    tensor([2., 3.])

    Notes
    -----
    Memory: one gradient per term for every parameter. Terms that no gradient has reached count as unseen.
    """

    def __init__(self, params: Any, num_terms: int, lipschitz: float = 1.0, scale: float = 1.0):
        check_finite_sum(num_terms, "ParameterSAG")
        check_start_lipschitz(lipschitz)
        super().__init__(params, {"num_terms": num_terms, "lipschitz": lipschitz, "scale": scale})
        for group in self.param_groups:
            if not group["scale"] > 0:
                raise InputError(f"the scale of a parameter group must be positive, got {group['scale']}")

    def step(self, closure: Callable[[], Tensor], term: int) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Visit one term.

        Parameters
        ----------
        closure
            Clears the gradients, evaluates the loss of this term, calls backward and returns the loss. The line
            search calls it again at trial points.
        term
            Which term it is, ``0 .. num_terms - 1``.

        Returns
        -------
        The term's loss before the step.
        """
        self._check_term(term)
        with torch.enable_grad():
            loss = closure()
        with torch.no_grad():
            visited = [(p, group["scale"], p.grad.clone()) for p, group in self._parameters() if p.grad is not None]
            lipschitz = self._search(closure, loss.detach(), visited)
            for parameter, scale, gradient in visited:
                self._remember(parameter, term, gradient)
                state = self.state[parameter]
                parameter -= scale**2 * state["total"] / (lipschitz.to(parameter) * sum(state["seen"]))
        self._set_lipschitz(relax_lipschitz(lipschitz, 1, self._num_terms).item())
        return loss.detach()

    @property
    def _num_terms(self) -> int:
        return self.param_groups[0]["num_terms"]

    def _parameters(self):
        return [(parameter, group) for group in self.param_groups for parameter in group["params"]]

    def _search(self, closure: Callable[[], Tensor], value: Tensor, visited: list[tuple[Tensor, float, Tensor]]):
        """L, from the term just visited; parameters are put back where they were."""
        before = [parameter.clone() for parameter, _, _ in visited]

        def value_at(lipschitz: Float[Tensor, " one"]) -> Float[Tensor, " one"]:
            for (parameter, scale, gradient), old in zip(visited, before, strict=True):
                parameter.copy_(old - scale**2 * gradient / lipschitz.to(old))
            with torch.enable_grad():
                return closure().detach().reshape(1).to(value)

        squared = sum(((scale * gradient).square().sum() for _, scale, gradient in visited), torch.zeros_like(value))
        guess = value.new_tensor([self.param_groups[0]["lipschitz"]])
        search = raise_lipschitz if self.state else initial_lipschitz
        lipschitz, _ = search(value_at, value.reshape(1), squared.reshape(1), guess)
        for (parameter, _, _), old in zip(visited, before, strict=True):
            parameter.copy_(old)
        return lipschitz

    def _remember(self, parameter: Tensor, term: int, gradient: Tensor) -> None:
        state = self.state[parameter]
        if not state:
            state["memory"] = gradient.new_zeros(self._num_terms, *gradient.shape)
            state["total"] = torch.zeros_like(gradient)
            state["seen"] = [False] * self._num_terms
        state["total"] += gradient - state["memory"][term]
        state["memory"][term] = gradient
        state["seen"][term] = True

    def _set_lipschitz(self, lipschitz: float) -> None:
        for group in self.param_groups:
            group["lipschitz"] = lipschitz

    def _check_term(self, term: int) -> None:
        if not 0 <= term < self._num_terms:
            raise InputError(f"term must be between 0 and {self._num_terms - 1}, got {term}")
