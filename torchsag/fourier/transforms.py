"""Fourier transforms whose phase origin is the box centre.

A *half-spectrum* is the non-redundant half of a real volume's transform in FFT order: axes ``(z, y, kx)``, zero
frequency first, ``kx = 0 .. x // 2``. The transform is unnormalised, ``F(k) = sum_x f(x) exp(-2 pi i k.(x - c) / n)``,
with the origin at the box centre ``c = n // 2``, so that rotating a volume about its centre rotates its transform.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.axes import HalfSpectra, HalfWeights, Volumes
from torchsag.keeping import kept
from torchsag.requirements import require_box, require_tensor

_AXES = (-3, -2, -1)


def to_half_spectrum(volume: Volumes) -> HalfSpectra:
    """Transform real volumes, phase origin at the box centre."""
    require_tensor("volumes", volume, ("...", "z", "y", "x"))
    box = (volume.shape[-3], volume.shape[-2], volume.shape[-1])
    if _is_even(box):
        return torch.fft.rfftn(volume, dim=_AXES).mul_(_signs(box, volume.device))
    return torch.fft.rfftn(torch.fft.ifftshift(volume, dim=_AXES), dim=_AXES)


def from_half_spectrum(spectrum: HalfSpectra, box: tuple[int, int, int]) -> Volumes:
    """Invert `to_half_spectrum`; `box` is the volume's (z, y, x) size, which the half-spectrum alone cannot tell."""
    require_box("box", box)
    require_tensor("half-spectra", spectrum, ("...", box[0], box[1], box[2] // 2 + 1), "complex")
    if _is_even(box):
        return torch.fft.irfftn(spectrum * _signs(box, spectrum.device), s=box, dim=_AXES)
    return torch.fft.fftshift(torch.fft.irfftn(spectrum, s=box, dim=_AXES), dim=_AXES)


def _is_even(box: tuple[int, int, int]) -> bool:
    return not any(n % 2 for n in box)


@kept(8)
def _signs(box: tuple[int, int, int], device: torch.device) -> Float[Tensor, "z y kx"]:
    """``(-1)^(kx + ky + kz)``: moving the origin by half an even box. Exact, and a third of the time of a shift."""
    z, y, x = box
    parity = [torch.arange(n, device=device) % 2 for n in (z, y, x // 2 + 1)]
    return 1.0 - 2.0 * ((parity[0][:, None, None] + parity[1][:, None] + parity[2]) % 2)


def to_spectrum(volume: Volumes) -> Complex[Tensor, "*batch z y x"]:
    """Full transform with the zero frequency at the centre ``n // 2``: for pictures and for slow, obvious tests."""
    return torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(volume, dim=_AXES), dim=_AXES), dim=_AXES)


def from_spectrum(spectrum: Complex[Tensor, "*batch z y x"]) -> Complex[Tensor, "*batch z y x"]:
    """Invert `to_spectrum`; complex, as half of a spectrum may stand for all of it where only the real part counts."""
    return torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(spectrum, dim=_AXES), dim=_AXES), dim=_AXES)


def half_weight(weight: Float[Tensor, "*batch z y x"]) -> HalfWeights:
    """Turn a Fourier weight volume with its zero frequency at the centre (as in files) into half-spectrum layout."""
    require_tensor("weights", weight, ("...", "z", "y", "x"))
    return torch.fft.ifftshift(weight, dim=_AXES)[..., : weight.shape[-1] // 2 + 1]


def full_weight(weight: HalfWeights, box: tuple[int, int, int]) -> Float[Tensor, "*batch z y x"]:
    """Turn a half-spectrum weight into a whole volume with the zero frequency at the centre (as in files)."""
    z, y, x = box
    kz, ky, kx = (torch.arange(n, device=weight.device) for n in (z, y, x))
    mirrored = kx > x // 2
    negative = weight[..., (-kz) % z, :, :][..., (-ky) % y, :][..., (-kx[mirrored]) % x]
    return torch.fft.fftshift(torch.cat([weight, negative], -1), dim=_AXES)
