"""What the camera does to an image: its modulation transfer function, on signal and on noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError


@runtime_checkable
class Detector(Protocol):
    """A camera: a frozen dataclass with a modulation transfer function."""

    def mtf(self, frequency: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Modulation transfer at `frequency` (cycles per pixel); 1 at zero, above 0 up to the corner of the band."""
        ...


@dataclass(frozen=True)
class PerfectDetector:
    """Passes every frequency alike."""

    def mtf(self, frequency: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """One everywhere."""
        return torch.ones_like(frequency)


@dataclass(frozen=True)
class PixelDetector:
    """Integrates over square pixels: ``sin(pi w / 2) / (pi w / 2)`` of the fraction w of Nyquist, 0.64 at Nyquist.

    The usual model in simulations of tomograms; McMullan et al. 2009, Ultramicroscopy 109:1126.
    """

    def mtf(self, frequency: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The sinc of the frequency."""
        return torch.sinc(frequency)


@dataclass(frozen=True)
class MeasuredDetector:
    """A curve given by points, straight between them and constant beyond the last.

    Attributes
    ----------
    frequencies
        Cycles per pixel, rising, the first 0.
    values
        Modulation transfer at each, above 0.
    """

    frequencies: list[float] | tuple[float, ...]
    values: list[float] | tuple[float, ...]

    def __post_init__(self):
        steps = np.diff(np.asarray(self.frequencies, dtype=float))
        if len(self.frequencies) != len(self.values) or len(steps) == 0 or (steps <= 0).any():
            raise InputError(
                f"detector: expected at least two rising frequencies with one value each, got {self.frequencies} and "
                f"{self.values}"
            )
        if self.frequencies[0] != 0 or min(self.values) <= 0:
            raise InputError("detector: expected a first frequency of 0 and values above 0")

    def mtf(self, frequency: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The interpolated curve."""
        curve = np.interp(frequency.detach().cpu().numpy(), self.frequencies, self.values)
        return torch.from_numpy(np.asarray(curve)).to(frequency)
