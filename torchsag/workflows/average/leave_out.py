"""Each half is aligned part by part, each part to the average of the others.

A particle that is aligned to an average it is part of meets its own noise there, and is held to the pose it had. With
ten particles in a half that pull is as strong as the signal of tomograms; without it, poses stay free to move.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.alignment.aligner import (
    AlignmentResult,
    JoinableAligner,
    JointAligner,
    PreparedAligner,
    outermost_shell,
)
from torchsag.particles import ParticleBatch


def parts_of_halves(halves: Integer[Tensor, " particles"], parts: int) -> Integer[Tensor, " particles"]:
    """Part ``0 .. parts - 1`` of each particle within its half, by turns in the order of the list."""
    part = torch.empty_like(halves)
    for half in halves.unique():
        members = (halves == half).nonzero()[:, 0]
        part[members] = torch.arange(len(members)) % parts
    return part


@dataclass(frozen=True)
class EachToItsOwn:
    """An aligner of several references, of which each particle has one.

    Attributes
    ----------
    prepared
        One aligner per reference.
    part_of
        Which one a particle has, by its name.
    """

    prepared: tuple[PreparedAligner, ...]
    part_of: Mapping[str, int]

    @property
    def outermost_shell(self) -> int | None:
        """See `torchsag.alignment.aligner.BandLimitedAligner`."""
        shells = [outermost_shell(one) for one in self.prepared]
        return None if None in shells else max(shell for shell in shells if shell is not None)

    def __call__(self, particles: ParticleBatch) -> AlignmentResult:
        """Align a batch; fastest where particles of one part stand together."""
        part = torch.tensor([self.part_of[name] for name in particles.names], device=particles.weight_index.device)
        groups = [(parts.to(part.device), align) for parts, align in self._groups]
        rows = [torch.isin(part, parts).nonzero()[:, 0] for parts, _ in groups]
        results = [
            align(particles if len(some) == len(part) else particles[some], torch.searchsorted(parts, part[some]))
            for (parts, align), some in zip(groups, rows, strict=True)
            if len(some)
        ]
        return AlignmentResult.concatenate(results)[torch.cat(rows).argsort()]

    @cached_property
    def _groups(self) -> list[tuple[Integer[Tensor, " parts"], JointAligner]]:
        """Parts, ascending, whose references are served together, and by what."""
        kinds: dict[Hashable, list[int]] = {}
        for number, one in enumerate(self.prepared):
            kinds.setdefault(one.kind if isinstance(one, JoinableAligner) else number, []).append(number)
        return [(torch.tensor(parts), self._joined(parts)) for parts in kinds.values()]

    def _joined(self, parts: list[int]) -> JointAligner:
        first, *others = (self.prepared[number] for number in parts)
        if others and isinstance(first, JoinableAligner):
            return first.joined(others)
        return lambda particles, _: first(particles)
