"""SAG for ordinary parameters: any autograd loss that is a sum over terms, in the loops in which torch's own work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from torchsag.errors import InputError
from torchsag.optim.lipschitz import initial_lipschitz, raise_lipschitz, relax_lipschitz
from torchsag.optim.settings import check_start_lipschitz
from torchsag.optim.term_order import check_finite_sum
from torchsag.requirements import is_real, is_whole, require_kind

_SHARED = ("num_terms", "lipschitz", "line_search", "maximize")
Closure = Callable[[], Any]


class _Told:
    """Which term comes next. An object of its own, since wrappers (Lightning's) call methods of ours as their own."""

    term: int | None = None


class SAG(torch.optim.Optimizer):
    """Stochastic average gradient (Le Roux, Schmidt & Bach 2012) as a `torch.optim.Optimizer`.

    Each step visits one term of the loss and moves along the mean of the gradients remembered for all terms seen.

    Parameters
    ----------
    params
        Tensors, or groups of them. A group may set ``lr``, ``weight_decay`` and ``scale``: its unknowns are measured in
        that unit, so that a group of radians and one of voxels can share one step size (0.05 for rotations of a
        particle of radius 20 voxels).
    lr
        Step size. None finds it by a line search on the term just visited, which evaluates the closure again; a group's
        ``lr`` is then a factor on it, 1 to begin with, so that schedulers work either way.
    num_terms
        Number of terms of the loss, at least 2.
    lipschitz
        First guess of the line search's L, positive; corrected by the first step. Kept in every group.
    scale
        Unit of the unknowns of groups that do not set their own.
    weight_decay
        Strength of ``weight_decay / 2 |x|^2``, added to the mean.
    maximize
        Ascend instead.

    Examples
    --------
    As any optimizer, but that it is told which term it sees:

    >>> x = torch.zeros(2, requires_grad=True)
    >>> targets = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> optimizer = SAG([x], lr=0.1, num_terms=2)
    >>> for step in range(100):
    ...     term = step % 2
    ...     optimizer.zero_grad()
    ...     (x - targets[term]).square().sum().backward()
    ...     optimizer.set_term(term)
    ...     optimizer.step()
    >>> x.detach().round(decimals=2)
    tensor([2., 3.])

    Without a step size, with a closure that may return the term, too:

    >>> optimizer = SAG([x], num_terms=2)
    >>> def closure(term):
    ...     optimizer.zero_grad()
    ...     loss = (x - targets[term]).square().sum()
    ...     loss.backward()
    ...     return loss, term
    >>> for step in range(60):
    ...     loss = optimizer.step(lambda: closure(step % 2))

    Notes
    -----
    Memory: one gradient per term for every parameter. Terms that no gradient has reached count as unseen.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor | None = None,
        *,
        num_terms: int,
        lipschitz: float = 1.0,
        scale: float = 1.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ):
        if not is_whole(num_terms):
            raise InputError(f"SAG: expected num_terms to be a whole number, got {num_terms!r}")
        if not isinstance(maximize, bool):
            raise InputError(f"SAG: expected maximize to be True or False, got {maximize!r}")
        check_finite_sum(num_terms, "SAG")
        check_start_lipschitz(lipschitz)
        self._told = _Told()
        defaults = {
            "lr": 1.0 if lr is None else lr,
            "num_terms": num_terms,
            "lipschitz": lipschitz,
            "line_search": lr is None,
            "scale": scale,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(_checked_params(params), defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters; what concerns the sum as a whole cannot differ between groups."""
        require_kind("SAG: param_group", param_group, dict, "a dictionary with params and their settings")
        for name in _SHARED:
            expected = self.param_groups[0][name] if self.param_groups else self.defaults[name]
            if param_group.setdefault(name, expected) != expected:
                raise InputError(
                    f"SAG: expected one {name} for all parameter groups ({expected}), got {param_group[name]}; give it "
                    "to the optimizer, not to a group"
                )
        for name in ("lr", "scale", "weight_decay"):
            value = param_group.get(name, self.defaults[name])
            number = is_real(value) or (isinstance(value, Tensor) and value.numel() == 1)
            if not number or not 0 <= float(value) < math.inf:
                raise InputError(
                    f"SAG: expected {name} of a parameter group to be a number of at least 0, got {value!r}"
                )
        if float(param_group.get("scale", self.defaults["scale"])) == 0:
            raise InputError("SAG: the scale of a parameter group must be positive, got 0")
        if "params" not in param_group:
            raise InputError(f"SAG: expected params in a parameter group, got {', '.join(map(str, param_group))} alone")
        try:
            super().add_param_group(param_group)
        except (TypeError, ValueError) as error:
            raise InputError(f"SAG: expected parameters that can be optimized, but torch says: {error}") from error

    def set_term(self, term: Any) -> None:
        """Say which term the next step visits: ``0 .. num_terms - 1``. Each step needs its own word."""
        self._told.term = self._checked(term)

    def step(self, closure: Closure | None = None, term: Any = None) -> Any:
        """Visit one term.

        Parameters
        ----------
        closure
            Clears the gradients, evaluates the loss of this term, calls backward and returns the loss, or loss and
            term. With a line search it is called again at trial points. May be left out after a backward pass if the
            optimizer has a step size. One that leaves no gradient and returns None skips the step.
        term
            Which term it is, unless `set_term` or the closure says so.

        Returns
        -------
        The term's loss before the step; None without a closure.

        Raises
        ------
        InputError
            If no term or two terms are named, the loss or a gradient is not finite, or a step size is wanting.
            Parameters and memory are then as they were.
        """
        if closure is None and self.param_groups[0]["line_search"]:
            raise InputError(
                "SAG: without lr the step size comes from a line search, which evaluates the loss again: "
                "call step(closure), or give lr"
            )
        if closure is not None and not callable(closure):
            raise InputError(
                f"SAG: expected a closure that evaluates the loss, got {closure!r}; set_term(i) says the term"
            )
        loss, told = (None, None) if closure is None else self._evaluate(closure)
        visited = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if closure is not None and loss is None and not visited:  # a trainer's way to skip a step
            self._told.term = None
            return None
        term = self._agreed(term, told)
        self._check_finite(loss, visited, term)
        with torch.no_grad():
            gradients = [-p.grad if group["maximize"] else p.grad.clone() for p, group in visited]
            lipschitz = self._searched(closure, loss, visited, gradients)
            for (parameter, group), gradient in zip(visited, gradients, strict=True):
                self._remember(parameter, term, gradient)
                self._move(parameter, group, lipschitz)
        self._told.term = None
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state; for a sum of the same number of terms, on any device and in any precision."""
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= state_dict.keys():
            raise InputError("SAG: expected what state_dict() gave, with state and param_groups, got something else")
        for group in state_dict["param_groups"]:
            if group.get("num_terms") != self.param_groups[0]["num_terms"]:
                raise InputError(
                    f"SAG: expected the state of a sum of {self.param_groups[0]['num_terms']} terms, "
                    f"got one of {group.get('num_terms')}"
                )
        super().load_state_dict(state_dict)
        for state in self.state.values():
            # torch brings every floating-point state to the parameter's precision; a running sum needs more.
            state["total"] = _summed(state["memory"]) if _is_half(state["memory"]) else state["total"]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._told = _Told()

    @property
    def _num_terms(self) -> int:
        return self.param_groups[0]["num_terms"]

    def _evaluate(self, closure: Closure) -> tuple[Tensor | None, Any]:
        with torch.enable_grad():
            returned = closure()
        loss, term = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)
        if loss is not None and not is_real(loss) and not (isinstance(loss, Tensor) and loss.numel() == 1):
            raise InputError(
                f"SAG: expected the closure to return the loss, a number, or loss and term, got {returned!r:.60}"
            )
        return None if loss is None else torch.as_tensor(loss).detach(), term

    def _agreed(self, given: Any, told: Any) -> int:
        named = {self._checked(term) for term in (self._told.term, given, told) if term is not None}
        if len(named) != 1:
            raise InputError(
                "SAG: expected to be told which term of the loss this step visits, by set_term(i), by the closure's "
                f"return (loss, i) or by step(closure, i), once; got {sorted(named) if named else 'none'}"
            )
        return named.pop()

    def _checked(self, term: Any) -> int:
        whole = int(term) if isinstance(term, Tensor) and _is_whole(term) else term
        if not isinstance(whole, int) or not 0 <= whole < self._num_terms:
            raise InputError(f"SAG: expected a term between 0 and {self._num_terms - 1}, got {term}")
        return whole

    def _check_finite(self, loss: Tensor | None, visited: list[tuple[Tensor, dict]], term: int) -> None:
        for parameter, _ in visited:
            assert parameter.grad is not None
            if parameter.grad.is_sparse:
                raise InputError("SAG: expected dense gradients, got a sparse one; it remembers one for every term")
        parts = [parameter.grad for parameter, _ in visited] + ([] if loss is None else [loss])
        if not all(bool(part.isfinite().all()) for part in parts if part is not None):
            raise InputError(
                f"SAG: the loss of term {term} or its gradient is not finite (loss {loss}); nothing was changed"
            )

    def _searched(
        self, closure: Closure | None, loss: Tensor | None, visited: list[tuple[Tensor, dict]], gradients: list[Tensor]
    ) -> float | None:
        """L, from the term just visited; parameters and gradients are put back as they were."""
        if closure is None or not self.param_groups[0]["line_search"] or not visited:
            return None
        if loss is None:
            raise InputError("SAG: without lr the line search needs the loss: expected closure to return it, got None")
        before = [(p.detach().clone(), None if p.grad is None else p.grad.clone()) for p, _ in visited]
        sign = -1.0 if self.param_groups[0]["maximize"] else 1.0
        pairs = zip(visited, gradients, strict=True)
        squared = sum(float((group["scale"] * gradient).abs().square().sum()) for (_, group), gradient in pairs)

        def value_at(lipschitz: Tensor) -> Tensor:
            for (parameter, group), gradient, (old, _) in zip(visited, gradients, before, strict=True):
                parameter.copy_(old - group["scale"] ** 2 * gradient / lipschitz.item())
            value, _ = self._evaluate(closure)
            # A trainer may skip a trial point; it is then one that is too far.
            return guess.new_full((1,), math.inf) if value is None else sign * value.reshape(1).to(guess)

        guess = torch.tensor([self.param_groups[0]["lipschitz"]], dtype=torch.promote_types(loss.dtype, torch.float32))
        search = raise_lipschitz if self.state else initial_lipschitz
        value = sign * loss.reshape(1).to(guess)
        try:
            lipschitz, _ = search(value_at, value, torch.tensor([squared]).to(guess), guess)
        finally:
            for (parameter, _), (old, gradient) in zip(visited, before, strict=True):
                parameter.copy_(old)
                parameter.grad = gradient
        for group in self.param_groups:
            group["lipschitz"] = relax_lipschitz(lipschitz, 1, self._num_terms).item()
        return lipschitz.item()

    def _remember(self, parameter: Tensor, term: int, gradient: Tensor) -> None:
        state = self.state[parameter]
        if not state:
            state["memory"] = gradient.new_zeros(self._num_terms, *gradient.shape)
            state["total"] = _summed(state["memory"][:0])
            # A list: torch would turn a tensor of truth values into numbers on loading.
            state["seen"] = [False] * self._num_terms
        state["total"] += gradient.to(state["total"].dtype) - state["memory"][term]
        state["memory"][term] = gradient
        state["seen"][term] = True

    def _move(self, parameter: Tensor, group: dict, lipschitz: float | None) -> None:
        state = self.state[parameter]
        direction = state["total"] / sum(state["seen"])
        if group["weight_decay"]:
            direction = direction + float(group["weight_decay"]) * parameter
        rate = float(group["lr"]) * group["scale"] ** 2 / (1.0 if lipschitz is None else lipschitz)
        parameter -= (rate * direction).to(parameter.dtype)


def _checked_params(params: Any) -> list[Any]:
    """What an optimizer is given, once gone through."""
    if isinstance(params, (Tensor, str, dict)) or not isinstance(params, Iterable):
        raise InputError(
            "SAG: expected params as a list of tensors or of parameter groups, such as model.parameters(), got "
            f"{type(params).__name__}"
        )
    listed = list(params)
    if not listed:
        raise InputError("SAG: expected at least one parameter, got an empty parameter list")
    return listed


def _is_whole(tensor: Tensor) -> bool:
    return tensor.numel() == 1 and not tensor.is_floating_point() and not tensor.is_complex()


def _is_half(tensor: Tensor) -> bool:
    return tensor.dtype in (torch.bfloat16, torch.float16)


def _summed(memory: Tensor) -> Tensor:
    return (memory.float() if _is_half(memory) else memory).sum(0)
