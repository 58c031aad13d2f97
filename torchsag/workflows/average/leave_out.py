"""Each half is aligned part by part, each part to the average of the others.

A particle that is aligned to an average it is part of meets its own noise there, and is held to the pose it had. With
ten particles in a half that pull is as strong as the signal of tomograms; without it, poses stay free to move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult, PreparedAligner, outermost_shell
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
        parts = [self.part_of[name] for name in particles.names]
        edges = [0, *(i for i in range(1, len(parts)) if parts[i] != parts[i - 1]), len(parts)]
        return AlignmentResult.concatenate([self.prepared[parts[a]](particles[a:b]) for a, b in pairwise(edges)])
