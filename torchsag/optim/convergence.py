"""When a stochastic method may stop: its moves have changed little over a whole pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.requirements import is_real


@dataclass(frozen=True)
class PassChange:
    """How far each problem has moved since the last pass over its terms began.

    Attributes
    ----------
    pass_start
        Where each problem stood then.
    converged
        Which problems moved less than the tolerance during the last complete pass.
    """

    pass_start: Float[Tensor, "problems n"]
    converged: Bool[Tensor, " problems"]

    @staticmethod
    def begin(start: Float[Tensor, "problems n"]) -> PassChange:
        """Before the first step."""
        return PassChange(start, torch.zeros(start.shape[0], dtype=torch.bool, device=start.device))

    def after(self, move: Float[Tensor, "problems n"], pass_complete: bool, tolerance: float) -> PassChange:
        """After a step to `move`: judged anew only where a pass has just been completed."""
        if not pass_complete:
            return self
        return PassChange(move, (move - self.pass_start).norm(dim=-1) <= tolerance)


def check_tolerance(tolerance: float) -> None:
    """Refuse a negative tolerance."""
    if not is_real(tolerance) or not tolerance >= 0:
        raise InputError(f"tolerance must be at least 0 (in the units of the move), got {tolerance!r}; 0 never stops")
