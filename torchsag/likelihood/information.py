"""How much a Fourier shell says about a pose."""

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.fourier import half_frequencies, shell_sums, to_half_spectrum


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
    axes = [torch.arange(n, dtype=torch.float64, device=density.device) - n // 2 for n in box]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    spectra = to_half_spectrum(density.double() * torch.stack([torch.ones_like(x), x, y, z]))
    k = half_frequencies(box, device=density.device, dtype=torch.float64)
    turning = torch.linalg.cross(k.to(spectra.dtype), spectra[1:].movedim(0, -1), dim=-1).abs().square().sum(-1)
    shifting = k.square().sum(-1) * spectra[0].abs().square()
    parts = shell_sums(torch.stack([turning, shifting]), box)
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
