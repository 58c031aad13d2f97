"""Particles of several references in one batch: what `torchsag.alignment.curvature_sag` does, sooner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult
from torchsag.alignment.coarse_to_fine import CoarseToFine
from torchsag.geometry.precision import exact
from torchsag.particles import ParticleBatch
from torchsag.search.candidates import Candidates, PreparedSearch
from torchsag.timing import stage


@dataclass(frozen=True)
class JointCurvatureSAG:
    """A `torchsag.alignment.aligner.JointAligner`.

    Attributes
    ----------
    images
        Turns particles into images of a reference, of any of them alike.
    searches
        One for each reference.
    coarse_to_fine
        Refines the candidates of all.
    """

    images: Callable[[ParticleBatch], ParticleBatch]
    searches: tuple[PreparedSearch, ...]
    coarse_to_fine: CoarseToFine

    @exact
    def __call__(self, particles: ParticleBatch, references: Integer[Tensor, " particles"]) -> AlignmentResult:
        """Align a batch, each particle to the reference of its number."""
        with stage("transform"):
            images = self.images(particles)
        return self.coarse_to_fine(images, lambda some: self._found(some, references), references)

    def _found(self, images: ParticleBatch, references: Tensor) -> Candidates:
        """Candidates of each particle from the search of its own reference."""
        rows = [(references == number).nonzero()[:, 0] for number in range(len(self.searches))]
        found = [search(images[some]) for search, some in zip(self.searches, rows, strict=True) if len(some)]
        return Candidates.concatenate(found)[torch.cat(rows).argsort()]
