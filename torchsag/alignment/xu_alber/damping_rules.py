"""How a Levenberg-Marquardt step on the unit constrained distance is damped, and whether it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.alignment.xu_alber.unit_distance import UnitDistance
from torchsag.errors import InputError

PerPose = Float[Tensor, " poses"]


@runtime_checkable
class DampingRule(Protocol):
    """A rule: a frozen dataclass and one yaml under ``conf/damping``."""

    @property
    def start(self) -> float:
        """Damping of the first step, relative to the curvature's diagonal."""
        ...

    def curvature(self, here: UnitDistance) -> Float[Tensor, "poses 6 6"]:
        """The matrix that is damped."""
        ...

    def judge(self, damping: PerPose, gain: PerPose) -> tuple[Bool[Tensor, " poses"], PerPose]:
        """Whether to take a step whose decrease was `gain` times the predicted one, and the next damping."""
        ...


@dataclass(frozen=True)
class FixedDamping:
    """Xu & Alber 2012: the same damping always, every step taken, curvature ``J^T J`` of the unit vectors.

    The curvature is that of a particle without noise. With noise the distance is flatter by the factor CCC, so that
    steps are shorter than they need be by ``CCC / (1 + damping)``: sure, and slow.

    Attributes
    ----------
    start
        Relative to the curvature's diagonal.
    """

    start: float = 1.0

    def __post_init__(self):
        if not self.start >= 0:
            raise InputError(f"start: expected at least 0, got {self.start}")

    def curvature(self, here: UnitDistance) -> Float[Tensor, "poses 6 6"]:
        """``J^T J``."""
        return here.gauss_newton

    def judge(self, damping: PerPose, gain: PerPose) -> tuple[Bool[Tensor, " poses"], PerPose]:
        """Yes, and the same again; only what is not a number is refused."""
        return gain.isfinite(), damping


@dataclass(frozen=True)
class GainRatioDamping:
    """Steps taken where they lower the distance, damping by the gain ratio, curvature scaled to the noise.

    The damping falls to a third where a step kept its promise and is raised fourfold where it did not (after Marquardt
    1963). ``CCC J^T J`` is the expected curvature of a noisy particle: without that factor no damping, however small,
    would let a step be long enough.

    Attributes
    ----------
    start
        Damping of the first step, relative to the curvature's diagonal.
    least_correlation
        In place of smaller correlations, whose steps would know no bounds.
    """

    start: float = 1.0
    least_correlation: float = 0.05

    def __post_init__(self):
        if not self.start > 0:
            raise InputError(f"start: expected a value above 0, got {self.start}")
        if not 0 < self.least_correlation <= 1:
            raise InputError(f"least_correlation: expected a value above 0 and at most 1, got {self.least_correlation}")

    def curvature(self, here: UnitDistance) -> Float[Tensor, "poses 6 6"]:
        """``CCC J^T J``."""
        return here.correlation.clamp_min(self.least_correlation)[:, None, None] * here.gauss_newton

    def judge(self, damping: PerPose, gain: PerPose) -> tuple[Bool[Tensor, " poses"], PerPose]:
        """Yes where the distance fell."""
        factor = torch.where(gain > 0.75, 1 / 3, torch.where(gain > 0.25, 1.0, 4.0)).to(damping)
        return gain > 0, (damping * factor).clamp(1e-6, 1e6)
