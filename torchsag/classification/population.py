"""All particles of a run, chunk by chunk, on as many processes as there are: what a classifier may ask of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.classification.evidence import ClassSums, Prior, Views
from torchsag.classification.evidence_numba import leave_one_out
from torchsag.parallel import Workers

Value = TypeVar("Value")


@dataclass(frozen=True)
class Population:
    """Views of particles that are read as they are needed. Every rank makes the same calls and gets the same answers.

    Attributes
    ----------
    chunks
        Rows of the particle list, in order and without gaps.
    load
        Makes or reads the views of a chunk.
    prior
        Of class differences.
    common
        The common average on the band.
    noise_class
        Whether the last class is that of particles which show nothing at all, not even the common average.
    candidates
        Views of each particle.
    workers
        The processes that share the work.
    """

    chunks: Sequence[range]
    load: Callable[[range], Views]
    prior: Prior
    common: Complex[Tensor, " coefficients"]
    noise_class: bool
    candidates: int
    workers: Workers

    def __len__(self) -> int:
        return self.chunks[-1].stop

    def sums(self, membership: Float[Tensor, "particles candidates classes"]) -> ClassSums:
        """Sums of every class but that of noise."""
        formed = self._formed(membership)
        shape = (formed.shape[2], len(self.common))
        own = [ClassSums(torch.zeros(shape, dtype=torch.complex64), torch.zeros(shape), torch.zeros(shape[0]))]

        def add(rows: range) -> None:
            own[0] = own[0] + self.load(rows).sums(formed[rows.start : rows.stop])

        for _ in self.workers.map_chunks(add, self.chunks):
            pass
        total = self.workers.sum_to_root
        numerator = torch.view_as_complex(total(torch.view_as_real(own[0].numerator)))
        return self.workers.broadcast(ClassSums(numerator, total(own[0].denominator), total(own[0].counts)))

    def scores(
        self, membership: Float[Tensor, "particles candidates classes"], sums: ClassSums
    ) -> Float[Tensor, "particles candidates classes"]:
        """Log-likelihood of each particle in each class at each candidate pose, the particle itself left out.

        Relative to nothing but noise.
        """
        formed = self._formed(membership)

        def score(rows: range) -> Tensor:
            views = self.load(rows)
            scores = leave_one_out(views, formed[rows.start : rows.stop], sums, self.prior) + views.common[:, :, None]
            if self.noise_class:
                scores = torch.cat([scores, views.fit(-self.common[None], self.prior.order)], 2)
            return scores

        return self.each(score)

    def fit(
        self, differences: Complex[Tensor, "classes coefficients"]
    ) -> Float[Tensor, "particles candidates classes"]:
        """Log-likelihood under given differences from the common average, relative to nothing but noise."""
        return self.each(lambda rows: self.load(rows).fit(differences, self.prior.order))

    def correlations(
        self, membership: Float[Tensor, "particles candidates classes"], sums: ClassSums
    ) -> Float[Tensor, " particles"]:
        """Constrained correlation of each particle with its class's average without it; that of noise has none: zero.

        For a membership that puts each particle in one class at one candidate pose.
        """
        formed = self._formed(membership)

        def correlate(rows: range) -> Tensor:
            views, part = self.load(rows), formed[rows.start : rows.stop]
            everyone = torch.arange(len(views))
            at, label = part.sum(2).argmax(1), part.sum(1).argmax(1)
            data, weights = views.data[everyone, at], views.weights[everyone, at]
            inside = part.sum((1, 2))[:, None]
            total = (sums.denominator[label] - inside * weights).clamp_min(0) + self.prior.precision
            model = self.common + (sums.numerator[label] - inside * data) / total
            cross = (model.conj() * (data + weights * self.common)).real.sum(1)
            power = (weights * model.abs().square()).sum(1) * views.power[everyone, at]
            return inside[:, 0] * cross * power.clamp_min(torch.finfo(power.dtype).tiny).rsqrt()

        return self.each(correlate)

    def each(self, function: Callable[[range], Tensor]) -> Tensor:
        """The function's rows for all particles, in their order, on every rank."""
        parts = dict(self.workers.map_chunks(function, self.chunks))
        whole = torch.cat([parts[rows] for rows in self.chunks]) if self.workers.is_root else None
        answer = self.workers.broadcast(whole)
        assert answer is not None
        return answer

    def _formed(self, membership: Tensor) -> Tensor:
        """Without the class of noise, which has no average."""
        return membership[:, :, :-1] if self.noise_class else membership
