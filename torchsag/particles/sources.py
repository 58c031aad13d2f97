"""Where a particle's volume and its weight come from, before anything is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.imaging.ctf import Microscope
from torchsag.particles.tilt_stack import TiltStack
from torchsag.particles.weighting import Weighting


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
class WeightVolume(VolumeSource):
    """A weight volume with a meaning of its own, in a list of several kinds.

    Attributes
    ----------
    meaning
        What it means; None where all weights of the list mean the same.
    """

    meaning: Weighting | None = None


@dataclass(frozen=True)
class TiltRange:
    """A single-axis tilt series (see `torchsag.imaging.wedge.missing_wedge`).

    Attributes
    ----------
    tilt_min_deg, tilt_max_deg
        First and last tilt angle, degrees.
    axis_deg
        Angle of the tilt axis in the plane of the specimen, degrees from y, counterclockwise seen from +z: 0 is y, and
        at 90 the axis lies along -x, that is along x with the signs of the tilt angles turned.
    """

    tilt_min_deg: float | int
    tilt_max_deg: float | int
    axis_deg: float | int = 0.0

    def __post_init__(self):
        for name in ("tilt_min_deg", "tilt_max_deg"):
            angle = getattr(self, name)
            if isinstance(angle, bool) or not isinstance(angle, (int, float)):
                raise InputError(f"{name}: expected an angle in degrees, got {angle!r}")
            object.__setattr__(self, name, float(angle))
        if not -90 <= self.tilt_min_deg < self.tilt_max_deg <= 90:
            raise InputError(
                "tilt range: expected -90 <= tilt_min_deg < tilt_max_deg <= 90, "
                f"got {self.tilt_min_deg} to {self.tilt_max_deg}"
            )
        if not abs(self.axis_deg) <= 360:
            raise InputError(f"tilt range: expected a tilt axis within 360 degrees of y, got {self.axis_deg}")


@dataclass(frozen=True)
class Tilt:
    """One image of a tilt series.

    Attributes
    ----------
    angle_deg, axis_deg
        Tilt angle and the in-plane angle of the tilt axis, as in `TiltRange`.
    underfocus_um
        Underfocus at the particle, micrometre; None leaves the CTF out of the weight.
    exposure
        Electrons per square angstrom that the specimen had taken; None leaves the damage out of the weight.
    """

    angle_deg: float
    axis_deg: float = 0.0
    underfocus_um: float | None = None
    exposure: float | None = None

    def __post_init__(self):
        if not -90 <= self.angle_deg <= 90 or not abs(self.axis_deg) <= 360:
            raise InputError(
                f"tilt: expected an angle in -90 to 90 and an axis within 360 degrees, got {self.angle_deg} and "
                f"{self.axis_deg}"
            )


@dataclass(frozen=True)
class TiltScheme:
    """What a tilt range about one axis cannot say: several series, or the images one by one.

    A coefficient counts as measured if any part measured it.

    Attributes
    ----------
    ranges
        Whole tilt series; two for a double tilt.
    tilts
        Single images, whose planes have gaps between them.
    microscope
        For the CTF of images that name their underfocus.
    """

    ranges: tuple[TiltRange, ...] = ()
    tilts: tuple[Tilt, ...] = ()
    microscope: Microscope = field(default_factory=Microscope)

    def __post_init__(self):
        if not self.ranges and not self.tilts:
            raise InputError("tilt scheme: expected at least one tilt range or tilt, got none")


DensitySource = VolumeSource | TiltStack
"""A volume, or the images it has to be assembled from."""

WeightSource = VolumeSource | TiltRange | TiltScheme | TiltStack | None
"""A weight volume, a tilt range or scheme whose wedge is the weight, the images that the volume is assembled from and
that tell its weight, or None: everything was measured."""


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
