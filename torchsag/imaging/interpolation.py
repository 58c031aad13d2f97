"""What it means to read a volume between its voxels."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Vectors
from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, pad_spectrum, to_half_spectrum


@runtime_checkable
class Interpolant(Protocol):
    """A volume as a function of position.

    Positions are ``(x, y, z)`` in voxels relative to the box centre; outside the box the volume is zero.
    """

    def __call__(self, points: Vectors) -> Float[Tensor, "*batch"]:
        """Values; differentiable in the points and in the volume the interpolant was made from."""
        ...

    def with_gradient(self, points: Vectors) -> tuple[Float[Tensor, "*batch"], Vectors]:
        """Values and their gradients ``d value / d(x, y, z)``, of the same interpolant; not for autograd."""
        ...


@runtime_checkable
class Interpolation(Protocol):
    """A way to interpolate: a frozen dataclass and one yaml under ``conf/interpolation``."""

    def prepare(self, volume: Float[Tensor, "z y x"]) -> Interpolant:
        """Do once what depends on the volume alone (oversampling, prefilter)."""
        ...


def check_volume(volume: Tensor) -> None:
    """Refuse what is no map: not three axes, or not in single or double precision."""
    if not isinstance(volume, Tensor) or volume.ndim != 3:
        given = f"shape {tuple(volume.shape)}" if isinstance(volume, Tensor) else type(volume).__name__
        raise InputError(f"interpolation: expected one map, a tensor with axes z, y, x, got {given}")
    check_precision("map", volume)


def check_precision(name: str, tensor: Tensor) -> None:
    """Refuse half precision and integers."""
    if tensor.dtype not in (torch.float32, torch.float64):
        raise InputError(
            f"interpolation: expected the {name} in float32 or float64, got {tensor.dtype}; half precision leaves no "
            "digits behind the voxel"
        )


def in_one_precision(table: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """A table and the points at which it is read, both in the finer of their two precisions: single or double."""
    for name, given in (("map", table), ("points", points)):
        check_precision(name, given)
    dtype = torch.promote_types(table.dtype, points.dtype)
    return table.to(dtype), points.to(dtype)


def oversample(volume: Float[Tensor, "z y x"], factor: int) -> Float[Tensor, "fine_z fine_y fine_x"]:
    """The same band-limited volume on a grid `factor` times as fine; the centre of the box stays the centre.

    Voxel ``n // 2 + i`` becomes voxel ``factor * n // 2 + factor * i`` with its value unchanged.
    """
    if factor == 1:
        return volume
    z, y, x = volume.shape
    fine = (z * factor, y * factor, x * factor)
    return from_half_spectrum(pad_spectrum(to_half_spectrum(volume), (z, y, x), fine), fine) * float(factor**3)


def table_coordinates(points: Vectors, box: tuple[int, ...], factor: int) -> Vectors:
    """Where `points` lie in a table of `box` (z, y, x) samples, `factor` samples a voxel: indices ``(x, y, z)``."""
    if not isinstance(points, Tensor) or points.ndim < 1 or points.shape[-1] != 3:
        given = f"shape {tuple(points.shape)}" if isinstance(points, Tensor) else type(points).__name__
        raise InputError(f"interpolation: expected points, a tensor [..., 3], got {given}")
    centre = [float(n // 2) for n in reversed(box)]
    return points * factor + torch.tensor(centre, dtype=points.dtype, device=points.device)
