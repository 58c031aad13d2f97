"""What a class is, and how well a particle fits one that it has no part in.

A class differs from the common average A by D(q), a priori complex normal with a variance per Fourier shell. Each
coefficient of a member is ``Y = W (A + D) + noise`` with noise of unit variance in the real and in the imaginary part,
so all that members say of D are the sums ``N = sum W (Y - W A)`` and ``W2 = sum W^2``. With t = 1 / prior variance,

    mean of D = N / (W2 + t)          log evidence = sum_q  |N|^2 / (2 (W2 + t)) - log(1 + W2 / t)

relative to no difference at all. From this one formula follow the score of a particle (the evidence it adds to the
class without it, which knows how uncertain that class's average is), and the criterion for merging classes.

Two corrections for coefficients that are not independent: a symmetry of order g counts each g times; under a mask only
a part f of them is independent, with f times the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor


@dataclass(frozen=True)
class Prior:
    """What is known of class differences before any particle is looked at.

    Attributes
    ----------
    precision
        ``f`` over the variance of a difference's real part, per coefficient.
    independent
        The module's f: mean square of the mask, 1 without one.
    order
        The module's g: how often symmetry repeats each coefficient.
    """

    precision: Float[Tensor, " coefficients"]
    independent: float = 1.0
    order: int = 1


@dataclass(frozen=True)
class ClassSums:
    """Sums over the members of each class.

    Attributes
    ----------
    numerator, denominator
        The module's N and W2.
    counts
        Members, weighted.
    """

    numerator: Complex[Tensor, "classes coefficients"]
    denominator: Float[Tensor, "classes coefficients"]
    counts: Float[Tensor, " classes"]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index) -> ClassSums:
        return ClassSums(self.numerator[index], self.denominator[index], self.counts[index])

    def __add__(self, other: ClassSums) -> ClassSums:
        """Sums over the members of both, class by class."""
        return replace(
            self,
            numerator=self.numerator + other.numerator,
            denominator=self.denominator + other.denominator,
            counts=self.counts + other.counts,
        )

    def difference(self, prior: Prior) -> Complex[Tensor, "classes coefficients"]:
        """Posterior mean of each class's difference from the common average."""
        return self.numerator / (self.denominator + prior.precision)

    def evidence(self, prior: Prior) -> Float[Tensor, " classes"]:
        """Log evidence of each class relative to no difference from the common average."""
        total = self.denominator + prior.precision
        power = 0.5 * self.numerator.abs().square() / total
        volume = prior.independent * (total / prior.precision).log()
        return (power - volume).sum(-1) / prior.order


@dataclass(frozen=True)
class Views:
    """What particles say at each of their candidate poses, in the frame of the common average.

    Attributes
    ----------
    data
        ``W (Y - W A)`` in units of the noise, summed over the symmetry; [particles, candidates, coefficients].
    weights
        ``W^2`` likewise.
    power
        ``sum |Y|^2`` over the band, likewise: what a correlation is divided by.
    common
        Log-likelihood of the common average alone at each candidate pose, relative to nothing but noise. Poses that
        the common average can tell apart are compared by it too.
    """

    data: Complex[Tensor, "particles candidates coefficients"]
    weights: Float[Tensor, "particles candidates coefficients"]
    power: Float[Tensor, "particles candidates"]
    common: Float[Tensor, "particles candidates"]

    def __len__(self) -> int:
        return len(self.data)

    def sums(self, membership: Float[Tensor, "particles candidates classes"]) -> ClassSums:
        """Each view added to the classes by its membership."""
        flat = membership.flatten(0, 1).T.contiguous()
        data, weights = self.data.flatten(0, 1), self.weights.flatten(0, 1)
        parts = torch.view_as_real(data).flatten(1)
        numerator = torch.view_as_complex((flat @ parts).unflatten(1, (-1, 2)))
        return ClassSums(numerator, flat @ weights, flat.sum(1))

    def fit(
        self, difference: Complex[Tensor, "classes coefficients"], order: int
    ) -> Float[Tensor, "particles candidates classes"]:
        """Log-likelihood of each view under differences known for certain, relative to nothing but noise."""
        cross = self.data.real @ difference.real.T + self.data.imag @ difference.imag.T
        return self.common[:, :, None] + (cross - 0.5 * self.weights @ difference.abs().square().T) / order


def reference_leave_one_out(
    views: Views, membership: Float[Tensor, "particles candidates classes"], sums: ClassSums, prior: Prior
) -> Float[Tensor, "particles candidates classes"]:
    """Evidence that each view adds to each class without the particle: plain tensor operations on any device.

    Parameters
    ----------
    views
        Some particles.
    membership
        Their part in `sums`.
    """
    own_data = torch.einsum("pjk,pjm->pkm", membership.to(views.data.dtype), views.data)
    own_weights = torch.einsum("pjk,pjm->pkm", membership, views.weights)
    numerator = (sums.numerator - own_data)[:, None]
    total = ((sums.denominator - own_weights).clamp_min(0) + prior.precision)[:, None]
    data, weights = views.data[:, :, None], views.weights[:, :, None]
    # |N + n|^2 / (T + d) - |N|^2 / T without the difference of large numbers.
    cross = 2 * (data.conj() * numerator).real
    gain = (cross + data.abs().square() - weights * numerator.abs().square() / total) / (2 * (total + weights))
    return (gain - prior.independent * (weights / total).log1p()).sum(-1) / prior.order
