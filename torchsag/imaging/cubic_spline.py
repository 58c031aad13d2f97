"""Cubic B-spline interpolation: twice continuously differentiable, so that gradients exist at every pose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Vectors
from torchsag.fourier import from_half_spectrum, half_frequencies, pad, to_half_spectrum
from torchsag.imaging.interpolation import check_volume, oversample, table_coordinates
from torchsag.imaging.spline_sampling import sample_spline, sample_spline_with_gradient
from torchsag.requirements import require_whole

# The prefilter's impulse response falls by 2 - sqrt(3) = 0.27 a sample: after twelve it is below single precision.
_MARGIN = 12


@dataclass(frozen=True)
class CubicSpline:
    """The cubic spline through all samples of a Fourier-oversampled table, zero outside the box.

    At `oversampling` 1 it passes detail at 0.8 of the sampling limit to 83 %, at 2 to better than 99 %; linear
    interpolation passes 57 % and 87 %. Source: Unser, Aldroubi & Eden 1993, IEEE Trans. Signal Process. 41:821.

    Attributes
    ----------
    oversampling
        Table samples per voxel and axis, at least 1.
    """

    oversampling: int = 2

    def __post_init__(self):
        require_whole("oversampling", self.oversampling, 1)

    def prepare(self, volume: Float[Tensor, "z y x"]) -> SplineInterpolant:
        """Find the spline's coefficients; differentiable in the volume."""
        check_volume(volume)
        fine = oversample(volume, self.oversampling)
        return SplineInterpolant(spline_coefficients(fine), self.oversampling)


@dataclass(frozen=True)
class SplineInterpolant:
    """A volume read as a cubic spline; see `torchsag.imaging.interpolation.Interpolant`."""

    coefficients: Float[Tensor, "z y x"]
    oversampling: int

    def __call__(self, points: Vectors) -> Float[Tensor, "*batch"]:
        """Values at `points`."""
        index = table_coordinates(points, tuple(self.coefficients.shape), self.oversampling)
        return sample_spline(self.coefficients, index)

    def with_gradient(self, points: Vectors) -> tuple[Float[Tensor, "*batch"], Vectors]:
        """Values and gradients, in one pass over the table."""
        index = table_coordinates(points, tuple(self.coefficients.shape), self.oversampling)
        values, gradients = sample_spline_with_gradient(self.coefficients, index)
        return values, gradients * self.oversampling


def spline_coefficients(volume: Float[Tensor, "z y x"]) -> Float[Tensor, "padded_z padded_y padded_x"]:
    """Coefficients of the cubic B-splines that interpolate a volume, in a box larger by a margin on every side.

    The prefilter divides by the B-spline's samples' transform, ``(2 + cos 2 pi k) / 3`` an axis, after padding with
    zeros, so that nothing wraps around.
    """
    box = (volume.shape[0] + 2 * _MARGIN, volume.shape[1] + 2 * _MARGIN, volume.shape[2] + 2 * _MARGIN)
    frequencies = half_frequencies(box, volume.device, volume.dtype)
    response = ((2 + torch.cos(2 * math.pi * frequencies)) / 3).prod(-1)
    return from_half_spectrum(to_half_spectrum(pad(volume, box)) / response, box)
