"""Many processes on the candidates of the same particles (Lü et al. 2019, Algorithm 3).

The root searches and hands out the candidates, each process refines some, and the least dissimilar one is kept. It
pays where particles are few and their candidates many; otherwise whole particles are better shared out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult
from torchsag.geometry import Poses
from torchsag.parallel import Workers
from torchsag.particles import ParticleBatch
from torchsag.search.candidates import Candidates


@dataclass(frozen=True)
class RefinedCandidates:
    """Where candidates ended.

    Attributes
    ----------
    poses
        Rotations ``[particles, candidates, 3, 3]`` and shifts ``[particles, candidates, 3]``.
    scores
        Constrained correlation at each.
    converged
        Whether the optimizer's own stopping rule was met.
    passes
        Passes over the particle's data that each took.
    """

    poses: Poses
    scores: Float[Tensor, "particles candidates"]
    converged: Bool[Tensor, "particles candidates"]
    passes: Float[Tensor, "particles candidates"]

    @staticmethod
    def joined(parts: Sequence[RefinedCandidates]) -> RefinedCandidates:
        """Candidates of the same particles side by side."""
        rotations = torch.cat([part.poses.rotations for part in parts], 1)
        shifts = torch.cat([part.poses.shifts for part in parts], 1)
        others = (torch.cat([getattr(part, name) for part in parts], 1) for name in ("scores", "converged", "passes"))
        return RefinedCandidates(Poses(rotations, shifts), *others)

    def to(self, device: torch.device | str) -> RefinedCandidates:
        """The same on another device."""
        return RefinedCandidates(
            self.poses.to(device), self.scores.to(device), self.converged.to(device), self.passes.to(device)
        )


@runtime_checkable
class Refinement(Protocol):
    """What can be done with the candidates of one batch of particles."""

    def refine(self, found: Candidates) -> RefinedCandidates:
        """Refine each candidate, whatever the others."""
        ...

    def choose(self, refined: RefinedCandidates) -> AlignmentResult:
        """The best candidate of each particle."""
        ...


@runtime_checkable
class CandidateAligner(Protocol):
    """A prepared aligner whose candidates know nothing of each other until the best is chosen."""

    def candidates(self, particles: ParticleBatch) -> Candidates:
        """Where refinement starts."""
        ...

    def refinement(self, particles: ParticleBatch) -> Refinement:
        """Do once what all candidates of these particles need."""
        ...


@dataclass(frozen=True)
class SharedCandidates:
    """On the root a `PreparedAligner` that all processes work for; the others `serve` until they are dismissed.

    Attributes
    ----------
    method
        Prepared alike on every process.
    workers
        The processes.
    device
        Where this one computes.
    """

    method: CandidateAligner
    workers: Workers
    device: torch.device

    def __call__(self, particles: ParticleBatch) -> AlignmentResult:
        """Align a batch, on the root."""
        found = self.method.candidates(particles)
        self.workers.broadcast((particles.to("cpu"), found.to("cpu")))
        refinement, parts = self._share(particles, found)
        ordered = [parts[first].to(self.device) for first in sorted(parts)]
        return refinement.choose(RefinedCandidates.joined(ordered))

    def serve(self) -> None:
        """Refine what the root hands out."""
        while (given := self._receive()) is not None:
            particles, found = given
            self._share(particles.to(self.device), found.to(self.device))

    def dismiss(self) -> None:
        """Let the others go, on the root."""
        self.workers.broadcast(None)

    def _receive(self) -> tuple[ParticleBatch, Candidates] | None:
        return self.workers.broadcast(None)

    def _share(self, particles: ParticleBatch, found: Candidates) -> tuple[Refinement, dict[int, RefinedCandidates]]:
        """Refine some here and some there; on the root everything, by first rank."""
        refinement, count = self.method.refinement(particles), found.scores.shape[1]
        size = -(-count // self.workers.size)  # one share each: a step costs hardly less for fewer candidates
        slices = [range(first, min(first + size, count)) for first in range(0, count, size)]

        def refine(ranks: range) -> RefinedCandidates:
            return refinement.refine(found.ranked(slice(ranks.start, ranks.stop))).to("cpu")

        return refinement, {ranks.start: refined for ranks, refined in self.workers.map_chunks(refine, slices)}
