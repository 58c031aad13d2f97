"""Checks of the numbers in particle volumes: single hot voxels, and scales that do not go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.verdict.finding import Finding


@dataclass(frozen=True)
class Extent:
    """What of a volume's values these checks need.

    Attributes
    ----------
    scale
        Standard deviation.
    share
        Part of the variance that the one most extreme voxel holds.
    deviations
        How many standard deviations it is away from the mean.
    """

    scale: float
    share: float
    deviations: float

    @staticmethod
    def of(volume: Float[Tensor, "z y x"]) -> Extent:
        """Of one volume; in double precision, as squares of large values overflow."""
        away = (volume.double() - volume.double().mean()).abs()
        largest = float(away.max())
        if not 0 < largest < float("inf"):
            return Extent(largest, 0.0, 0.0)
        squares = (away / largest).square().sum()
        deviation = float((squares / away.numel()).sqrt())
        return Extent(largest * deviation, float(1 / squares), 1 / deviation)


@dataclass(frozen=True)
class OutlierVoxels:
    """Volumes in which one voxel outweighs thousands.

    Attributes
    ----------
    most_share
        Part of the variance that one voxel may hold.
    most_deviations
        And how far from the mean it must be to be looked at at all.
    """

    most_share: float = 0.02
    most_deviations: float = 15.0
    code: str = "outlier_voxels"

    def __call__(self, names: Sequence[str], extents: Sequence[Extent]) -> Finding | None:
        """Judge volumes of these names."""
        named = zip(extents, names, strict=True)
        hot = [
            (extent.share, name)
            for extent, name in named
            if extent.share > self.most_share and extent.deviations > self.most_deviations
        ]
        if not hot:
            return None
        share, worst = max(hot)
        text = (
            f"{len(hot)} of {len(names)} volumes looked at have a single voxel that outweighs all others, the worst "
            f"{worst} ({100 * share:.0f} % of its variance): clip such voxels, or take these particles out"
        )
        return Finding(self.code, "doubt", text, {"particles": len(hot), "largest_share": share, "worst": worst})


@dataclass(frozen=True)
class ScaleExtreme:
    """Volumes of unlike scale: the strongest would be all that an average shows.

    Attributes
    ----------
    most_ratio
        Standard deviation of a volume by the median of all, or the other way round.
    """

    most_ratio: float = 30.0
    code: str = "scale_extreme"

    def __call__(self, names: Sequence[str], extents: Sequence[Extent]) -> Finding | None:
        """Judge volumes of these names."""
        scales = torch.tensor([extent.scale for extent in extents], dtype=torch.float64)
        middle = float(scales.median())
        if not middle > 0:
            return None
        ratios = torch.maximum(scales / middle, middle / scales.clamp_min(1e-300))
        apart = int((ratios > self.most_ratio).sum())
        if apart == 0:
            return None
        worst = names[int(ratios.argmax())]
        text = (
            f"{apart} of {len(names)} volumes looked at have values of another scale than the rest, the worst {worst} "
            f"(by a factor of {float(ratios.max()):.3g}): bring all particles to one scale"
        )
        return Finding(
            self.code, "doubt", text, {"particles": apart, "largest_ratio": float(ratios.max()), "worst": worst}
        )
