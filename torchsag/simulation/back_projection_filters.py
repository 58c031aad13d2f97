"""What each image coefficient counts in a back-projection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.imaging.projection import TiltGeometry


@runtime_checkable
class BackProjectionFilter(Protocol):
    """Weights of the images' coefficients: a frozen dataclass."""

    def weights(
        self,
        geometry: TiltGeometry,
        transfer: Float[Tensor, "tilts y kx"],
        noise_power: Float[Tensor, "y kx"],
    ) -> Float[Tensor, "tilts y kx"]:
        """Weights for images that hold ``transfer * signal + noise`` of this power."""
        ...


@dataclass(frozen=True)
class RampFilter:
    """The area that a sample of equally spaced tilts stands for: proportional to the distance from the tilt axis.

    Source: Radermacher 1992, "Weighted back-projection methods", in Frank (ed.), Electron Tomography. Wrong near the
    axis, where the slabs of neighbouring images overlap, and for uneven tilts: see `ExactFilter`.
    """

    def weights(
        self,
        geometry: TiltGeometry,
        transfer: Float[Tensor, "tilts y kx"],
        noise_power: Float[Tensor, "y kx"],
    ) -> Float[Tensor, "tilts y kx"]:
        """``|u| n`` times the mean angle between images; on the axis, their share of a disc of one cell."""
        count = len(geometry.tilts)
        step = float(geometry.tilts.max() - geometry.tilts.min()) / (count - 1)
        ramp = geometry.image_frequencies[..., 0].abs() * geometry.box * step
        ramp[:, 0] = step / 4
        return ramp.expand_as(transfer)


@dataclass(frozen=True)
class ExactFilter:
    """One over the number of images that measure the same place, counting overlaps of the slabs linearly.

    Source: Harauz & van Heel 1986, Optik 73:146. A slab is ``box / diameter`` lattice cells thick.

    Attributes
    ----------
    diameter
        Diameter of the particle as a fraction of the box.
    """

    diameter: float = 1.0

    def __post_init__(self):
        if not 0 < self.diameter <= 1:
            raise InputError(f"exact filter: expected a diameter in 0 to 1 of the box, got {self.diameter}")

    def weights(
        self,
        geometry: TiltGeometry,
        transfer: Float[Tensor, "tilts y kx"],
        noise_power: Float[Tensor, "y kx"],
    ) -> Float[Tensor, "tilts y kx"]:
        """Inverse overlap of each sample; on average over the cells of the lattice."""
        between = torch.sin(geometry.tilts[:, None] - geometry.tilts).abs()
        cells = geometry.image_frequencies[0, :, 0].abs() * geometry.box * self.diameter
        overlap = (1 - cells[:, None, None] * between).clamp_min(0).sum(-1).T
        return (1 / overlap)[:, None, :].expand_as(transfer)


@dataclass(frozen=True)
class MatchedFilter:
    """Each coefficient times its own transfer over its noise power: no filter keeps more of the signal.

    The volume is then a sum of CTF-multiplied images, as RELION's pseudo-subtomograms are.
    """

    def weights(
        self,
        geometry: TiltGeometry,
        transfer: Float[Tensor, "tilts y kx"],
        noise_power: Float[Tensor, "y kx"],
    ) -> Float[Tensor, "tilts y kx"]:
        """``transfer / noise_power``."""
        return transfer / noise_power * (math.pi / len(geometry.tilts))
