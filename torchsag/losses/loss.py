"""What a loss offers: how unlike an observed and a modelled part of a particle are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError

Parts = Float[Tensor, "*batch z y x"]
Masks = Float[Tensor, "*#batch z y x"]
PerPart = Float[Tensor, "*batch"]
Residuals = Float[Tensor, "*any"]

AXES = (-3, -2, -1)
"""Those of a part: a slice is a part of one voxel's thickness."""


@runtime_checkable
class Loss(Protocol):
    """A dissimilarity of parts of volumes, lower is better: a frozen dataclass and one yaml under ``conf/loss``.

    Tensor operations only: gradients come from autograd.
    """

    @property
    def additive(self) -> bool:
        """Whether the loss of a volume is the sum of the losses of its parts.

        If so, `loss` is asked about single slices, and the model comes with its amplitude and offset as unknowns of the
        fit. If not, it is asked about whole volumes of arbitrary scale and offset.
        """
        ...

    def loss(self, observed: Parts, model: Parts, mask: Masks) -> PerPart:
        """Dissimilarity of each part; `observed` has mean zero and unit variance under the whole mask."""
        ...


@runtime_checkable
class PointwiseLoss(Loss, Protocol):
    """A sum over voxels of a function of the masked residual: it has Gauss-Newton blocks, by iterated reweighting."""

    def penalty(self, residual: Residuals) -> tuple[Residuals, Residuals, Residuals]:
        """The function rho(r), its derivative, and the weight ``rho'(r) / r``, each at least as large as zero but the
        derivative."""
        ...


class SumOfPenalties(ABC):
    """What a `PointwiseLoss` has once its `penalty` is given: a base for the losses of this package and for your own.

    Derive a frozen dataclass from it and write `penalty`.
    """

    @property
    def additive(self) -> bool:
        """A sum over voxels."""
        return True

    @abstractmethod
    def penalty(self, residual: Residuals) -> tuple[Residuals, Residuals, Residuals]:
        """See `PointwiseLoss.penalty`."""

    def loss(self, observed: Parts, model: Parts, mask: Masks) -> PerPart:
        """Sum of penalties of the masked residuals."""
        return self.penalty(mask * (observed - model))[0].sum(AXES)


def require_additive(loss: Loss, method: str) -> None:
    """Refuse a loss that is not a sum over terms."""
    if not loss.additive:
        raise InputError(
            f"{method} needs a loss that is a sum over terms, which {type(loss).__name__} is not; "
            "choose one that is, such as constrained_distance, or the partition whole_volume without SAG"
        )
