"""How particles are divided into two halves that never see each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.particles import ParticleSet


@runtime_checkable
class Halves(Protocol):
    """A way to divide: a frozen dataclass and one yaml under ``conf/halves``."""

    def __call__(self, particles: ParticleSet, seed: int) -> Integer[Tensor, " particles"]:
        """Half 1 or 2 for each particle.

        Raises
        ------
        InputError
            If a half would be empty or the list lacks what is needed.
        """
        ...


@dataclass(frozen=True)
class RandomHalves:
    """Two halves of equal size, drawn at random."""

    def __call__(self, particles: ParticleSet, seed: int) -> Integer[Tensor, " particles"]:
        """Half 1 or 2 for each particle; fixed by the seed."""
        order = torch.randperm(len(particles), generator=torch.Generator().manual_seed(seed))
        halves = torch.empty(len(particles), dtype=torch.long)
        halves[order] = 1 + torch.arange(len(particles)) % 2
        return _checked(halves)


@dataclass(frozen=True)
class HalvesByTomogram:
    """Whole tomograms go to one half or the other: neighbours, which may overlap, stay together."""

    def __call__(self, particles: ParticleSet, seed: int) -> Integer[Tensor, " particles"]:
        """Half 1 or 2 for each particle; tomograms, largest first, go to the smaller half so far."""
        if particles.tomograms is None:
            raise InputError("halves=by_tomogram: expected a list with a tomogram column, got none; use halves=random")
        names = sorted(set(particles.tomograms))
        order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
        rank = {names[i]: position for position, i in enumerate(order)}
        sizes = {name: particles.tomograms.count(name) for name in names}
        totals, half_of = [0, 0], {}
        for name in sorted(names, key=lambda n: (-sizes[n], rank[n])):
            smaller = int(totals[1] < totals[0])
            half_of[name] = 1 + smaller
            totals[smaller] += sizes[name]
        return _checked(torch.tensor([half_of[name] for name in particles.tomograms]))


@dataclass(frozen=True)
class ListedHalves:
    """As the particle list says."""

    def __call__(self, particles: ParticleSet, seed: int) -> Integer[Tensor, " particles"]:
        """Half 1 or 2 for each particle."""
        if particles.halves is None:
            raise InputError("halves=listed: expected a list with a half-set column, got none; use halves=random")
        return _checked(particles.halves.long())


@dataclass(frozen=True)
class ListedOrRandomHalves:
    """As the particle list says; at random where it says nothing."""

    def __call__(self, particles: ParticleSet, seed: int) -> Integer[Tensor, " particles"]:
        """Half 1 or 2 for each particle."""
        rule = RandomHalves() if particles.halves is None else ListedHalves()
        return rule(particles, seed)


def _checked(halves: Integer[Tensor, " particles"]) -> Integer[Tensor, " particles"]:
    counts = [int((halves == half).sum()) for half in (1, 2)]
    if 0 in counts or sum(counts) != len(halves):
        raise InputError(
            f"halves: expected particles in halves 1 and 2, got {counts[0]} and {counts[1]} of {len(halves)}; "
            "an average needs at least one particle in each (try halves=random)"
        )
    return halves
