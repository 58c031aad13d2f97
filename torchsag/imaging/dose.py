"""Radiation damage: the signal that is left after an exposure."""

import torch
from jaxtyping import Float
from torch import Tensor


def critical_exposure(frequency: Float[Tensor, "*shape"], voltage_kv: float = 300.0) -> Float[Tensor, "*shape"]:
    """Exposure (electrons per square angstrom) after which the signal's amplitude has fallen to ``exp(-1/2)``.

    Source: Grant & Grigorieff 2015, eLife 4:e06980, equation 3 (rotavirus, 300 kV; 0.8 of it at 200 kV). Voltages
    between are interpolated linearly.
    """
    scale = 0.8 + 0.2 * min(max((voltage_kv - 200.0) / 100.0, 0.0), 1.0)
    # No power law holds at zero frequency: there, nothing is lost.
    return scale * (0.24499 * frequency.clamp_min(1e-6) ** -1.6649 + 2.8141)


def remaining_signal(
    frequency: Float[Tensor, "*shape"], exposure: Float[Tensor, "..."] | float, voltage_kv: float = 300.0
) -> Float[Tensor, "..."]:
    """Factor on the signal's amplitude at `frequency` (1/angstrom) after `exposure` (electrons per square angstrom)."""
    return torch.exp(-0.5 * exposure / critical_exposure(frequency, voltage_kv))
