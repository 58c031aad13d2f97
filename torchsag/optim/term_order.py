"""In which order a stochastic method visits the terms of a sum: one order for all problems of a batch.

The order depends on the seed and the number of terms alone, never on the problems, so that a problem's result does not
depend on which others happen to share its batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.requirements import is_real


@runtime_checkable
class TermOrder(Protocol):
    """A stream of terms to visit; drawing advances it."""

    @property
    def completed_passes(self) -> int:
        """Passes over the terms drawn so far."""
        ...

    @property
    def pass_complete(self) -> bool:
        """Whether the last draw ended a pass over the terms."""
        ...

    def draw(self) -> Integer[Tensor, " b"]:
        """Distinct terms to visit next, on the CPU."""
        ...


@dataclass
class UniformDraws:
    """One term at a time, drawn uniformly with replacement (Le Roux et al. 2012); `num_terms` draws are a pass."""

    num_terms: int
    generator: torch.Generator
    drawn: int = 0

    @property
    def completed_passes(self) -> int:
        """Draws divided by `num_terms`, rounded down."""
        return self.drawn // self.num_terms

    @property
    def pass_complete(self) -> bool:
        """Whether the last draw was a multiple of `num_terms`."""
        return self.drawn > 0 and self.drawn % self.num_terms == 0

    def draw(self) -> Integer[Tensor, " b"]:
        """One random term."""
        self.drawn += 1
        return torch.randint(self.num_terms, (1,), generator=self.generator)


@dataclass
class ShuffledBatches:
    """`size` terms at a time, every term once a pass, in a new random order each pass."""

    num_terms: int
    size: int
    generator: torch.Generator
    pending: list[Tensor] = field(default_factory=list)
    completed_passes: int = 0

    @property
    def pass_complete(self) -> bool:
        """Whether the last draw was the last batch of its pass."""
        return self.completed_passes > 0 and not self.pending

    def draw(self) -> Integer[Tensor, " b"]:
        """The next batch; the last one of a pass may be shorter."""
        if not self.pending:
            self.pending = list(torch.randperm(self.num_terms, generator=self.generator).split(self.size))[::-1]
        batch = self.pending.pop()
        self.completed_passes += not self.pending
        return batch


def seeded_generator(seed: int) -> torch.Generator:
    """A generator on the CPU, whatever device the problems are on, so that orders agree between devices."""
    return torch.Generator().manual_seed(seed)


def batch_size(num_terms: int, fraction: float) -> int:
    """Terms in a batch that holds `fraction` of them, at least one."""
    return max(1, math.ceil(num_terms * fraction))


def check_batch_fraction(fraction: float) -> None:
    """Refuse a batch fraction outside (0, 1]."""
    if not is_real(fraction) or not 0 < fraction <= 1:
        raise InputError(
            f"batch_fraction must be above 0 and at most 1, got {fraction!r}; the paper uses 1/16 to 1/2, 1 takes all"
        )


def check_finite_sum(num_terms: int, method: str) -> None:
    """Refuse a loss that is not a sum over several terms."""
    if num_terms < 2:
        raise InputError(
            f"{method} needs a loss that is a sum of at least 2 terms, got {num_terms}; "
            "split the loss into terms or use an optimizer of whole losses such as TorchOptimizer"
        )
