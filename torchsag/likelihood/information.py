"""How much a Fourier shell says about a pose."""

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.fourier import frequency_axes, shell_sums, squared_size, to_half_spectrum


def pose_information(
    density: Float[Tensor, "z y x"], amplitude: Float[Tensor, " known"] | None = None
) -> Float[Tensor, " shells"]:
    """Part of the pose information that shells 0 .. k of a cubic map hold, by shell k; ends at one.

    Of turns or of shifts (see `information_by_shell`), whichever is smaller.
    """
    parts = information_by_shell(density, amplitude).cumsum(-1)
    return (parts / parts[:, -1:].clamp_min(torch.finfo(parts.dtype).tiny)).amin(0).to(density.dtype)


def information_by_shell(
    density: Float[Tensor, "z y x"], amplitude: Float[Tensor, " known"] | None = None
) -> Float[Tensor, "2 shells"]:
    """What each shell 0, 1, .. of a cubic map tells of turns and of shifts.

    `amplitude` multiplies the map on shells 1, 2, .., its last value on all further ones
    (`torchsag.likelihood.reference_amplitude`); None takes the map as it is.

    In white noise the Fisher information of a shift is ``sum |k|^2 |G|^2`` and that of a rotation
    ``sum |k x grad G|^2``, whose spectrum reaches farther out.
    """
    box = (density.shape[0], density.shape[1], density.shape[2])
    # Squares of squares of very large or small numbers would leave single precision.
    size = density.double().abs().amax().clamp_min(1e-300)
    unit = (density.double() / size).float()
    z, y, x = (torch.arange(n, dtype=unit.dtype, device=unit.device) - n // 2 for n in box)
    moments = (unit, unit * x, unit * y[:, None], unit * z[:, None, None])
    value, gx, gy, gz = (to_half_spectrum(moment) for moment in moments)
    along_z, along_y, along_x = (axis.sum(-1) for axis in frequency_axes(box, unit))
    kz, ky, kx = along_z[:, None, None], along_y[:, None], along_x
    turning = squared_size(ky * gz - kz * gy) + squared_size(kz * gx - kx * gz) + squared_size(kx * gy - ky * gx)
    shifting = (kx.square() + ky.square() + kz.square()) * squared_size(value)
    parts = size.square() * shell_sums(torch.stack([turning, shifting]).double(), box)
    if amplitude is not None:
        shells = torch.arange(parts.shape[-1], device=parts.device).clamp(1, len(amplitude))
        parts = parts * amplitude.to(parts)[shells - 1].square()
    return parts


def shell_of_information(
    density: Float[Tensor, "z y x"], fraction: float, amplitude: Float[Tensor, " known"] | None = None
) -> int:
    """The smallest shell up to which a map holds `fraction` of its pose information, at most ``n // 2 - 1``."""
    shell = int((pose_information(density, amplitude) < fraction).sum())
    return min(max(shell, 2), min(density.shape) // 2 - 1)


def information_lost(
    whole: Float[Tensor, "z y x"], part: Float[Tensor, "z y x"], amplitude: Float[Tensor, " known"] | None = None
) -> float:
    """Part of a map's pose information that one of its parts does not hold: of turns or of shifts, the larger."""
    all_of_it, left = (information_by_shell(density, amplitude).sum(-1) for density in (whole, part))
    return 1 - float((left / all_of_it).min())


def information_moved(
    first: Float[Tensor, "z y x"],
    first_amplitude: Float[Tensor, " known"],
    second: Float[Tensor, "z y x"],
    second_amplitude: Float[Tensor, " others"],
) -> float:
    """Largest difference, over all shells, in the part of the pose information that two maps hold up to there."""
    mine, theirs = pose_information(first, first_amplitude), pose_information(second, second_amplitude)
    return float((mine - theirs).abs().max())
