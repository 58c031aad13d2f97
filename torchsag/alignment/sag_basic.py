"""Lü et al. 2019 with their Algorithm 1: one slice a step."""

from __future__ import annotations

from dataclasses import dataclass, field

from torchsag.alignment.sag import SAGAligner
from torchsag.optim import Optimizer, Preconditioned, SAGOneTerm, Whitening


@dataclass(frozen=True)
class BasicSAGAligner(SAGAligner):
    """As `SAGAligner`, visiting one random slice a step: cheaper steps, more of them, more passes to converge."""

    optimizer: Optimizer = field(default_factory=lambda: Preconditioned(SAGOneTerm(tolerance=0.03), Whitening()))
    max_passes: float = 60.0
