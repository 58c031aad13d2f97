"""Two-dimensional filters inside the planes of a volume."""

import torch
from jaxtyping import Float
from torch import Tensor

_AXES = (-2, -1)


def filter_planes(
    planes: Float[Tensor, "... rows columns"], weight: Float[Tensor, "... rows kcolumns"]
) -> Float[Tensor, "... rows columns"]:
    """Multiply each plane's transform by a real, even weight (half-spectrum layout); linear and self-adjoint.

    Such a weight acts the same wherever the phase origin lies, so the planes need not be centred.
    """
    return torch.fft.irfft2(torch.fft.rfft2(planes, dim=_AXES) * weight, s=planes.shape[-2:], dim=_AXES)
