"""Translation as a phase: exact for any sub-voxel shift of a band-limited volume."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.axes import Vectors
from torchsag.geometry.precision import exact_product


def phase_ramp(frequencies: Float[Tensor, "*grid 3"], shifts: Vectors) -> Complex[Tensor, "..."]:
    """Factor ``exp(-2 pi i k.t)`` that moves a volume by t (voxels); k in cycles per voxel.

    The result has the batch axes of `shifts` followed by the axes of `frequencies`.
    """
    grid = frequencies.shape[:-1]
    angle = -2 * math.pi * exact_product(shifts, frequencies.reshape(-1, 3).mT)
    return torch.polar(torch.ones_like(angle), angle).unflatten(-1, grid)
