"""Correlation normalised window by window: for particles whose contrast changes across the box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from torchsag.errors import InputError
from torchsag.losses.loss import AXES, Masks, Parts, PerPart

_FLAT = 1e-8  # part of the mean power below which a window counts as flat


@dataclass(frozen=True)
class LocalCorrelation:
    """One minus the correlation of windows, each with its own mean and norm, weighted by the reference's contrast.

    For every voxel, f and g lose their means over the window around it; the correlation of what is left, summed over
    windows, is divided by the norm of f in each window (Roseman 2003, Ultramicroscopy 94:225, with windows in place of
    the template's outline). Windows count by the norm of g: where the reference is flat there is only noise to match.

    Attributes
    ----------
    window
        Edge of the windows, odd, in voxels of the grid on which volumes are compared (half of
        method.resolution_angstrom).
    """

    window: int = 7

    def __post_init__(self):
        if self.window < 3 or self.window % 2 == 0:
            raise InputError(f"local correlation: expected an odd window of at least 3 voxels, got {self.window}")

    @property
    def additive(self) -> bool:
        """Windows reach across slices."""
        return False

    def loss(self, observed: Parts, model: Parts, mask: Masks) -> PerPart:
        """One minus the weighted mean of the windows' correlations."""
        first, second = (mask * (part - self._mean(part)) for part in (observed, model))
        product, own, other = (self._mean(p) for p in (first * second, first.square(), second.square()))
        norm, contrast = (
            (power + _FLAT * power.mean(AXES, keepdim=True) + torch.finfo(power.dtype).tiny).sqrt()
            for power in (own, other)
        )
        return 1 - (product / norm).sum(AXES) / contrast.sum(AXES)

    def _mean(self, volumes: Tensor) -> Tensor:
        flat = volumes.reshape(-1, 1, *volumes.shape[-3:])
        # A slice is thinner than a window.
        window = [min(self.window, n - 1 + n % 2) for n in volumes.shape[-3:]]
        padding = [edge // 2 for edge in window]
        return avg_pool3d(flat, window, 1, padding, count_include_pad=False).reshape(volumes.shape)
