"""Where a particle's volume and its weight come from, before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.particles.tilt_stack import TiltStack


@dataclass(frozen=True)
class VolumeSource:
    """One volume on disk.

    Attributes
    ----------
    path
        The file.
    index
        Which volume of a stack, from zero; None where the file holds one volume.
    """

    path: Path
    index: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.index is None else f"{self.index + 1:06d}@{self.path}"


@dataclass(frozen=True)
class TiltRange:
    """A single-axis tilt series, tilt axis y (see `torchsag.imaging.wedge.missing_wedge`).

    Attributes
    ----------
    tilt_min_deg, tilt_max_deg
        First and last tilt angle, degrees.
    """

    tilt_min_deg: float
    tilt_max_deg: float

    def __post_init__(self):
        if not -90 <= self.tilt_min_deg < self.tilt_max_deg <= 90:
            raise InputError(
                "tilt range: expected -90 <= tilt_min_deg < tilt_max_deg <= 90, "
                f"got {self.tilt_min_deg} to {self.tilt_max_deg}"
            )


DensitySource = VolumeSource | TiltStack
"""A volume, or the images it has to be assembled from."""

WeightSource = VolumeSource | TiltRange | TiltStack | None
"""A weight volume, a tilt range whose wedge is the weight, the images that the volume is assembled from and that tell
its weight, or None: everything was measured."""


@runtime_checkable
class VolumeReader(Protocol):
    """Reads one volume; given to a `ParticleSet` by `torchsag.io`, which knows the file formats."""

    def __call__(self, source: DensitySource) -> Float[Tensor, "z y x"]:
        """Read as float32, axes (z, y, x); of a tilt stack its images, (image, y, x).

        Raises
        ------
        InputError
            If the file cannot be read.
        """
        ...
