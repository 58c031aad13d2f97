"""Filters given shell by shell, and phases made random."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Integer
from torch import Tensor

from torchsag.axes import Box, Volumes
from torchsag.fourier.frequencies import half_frequencies, half_shells
from torchsag.fourier.shells import squared_size
from torchsag.fourier.transforms import from_half_spectrum, to_half_spectrum
from torchsag.keeping import kept


def apply_shell_curve(volume: Volumes, curve: Float[Tensor, " shells"]) -> Volumes:
    """Multiply a volume's transform by a curve over shells 0, 1, ..: linear between shells, zero beyond them."""
    box = (volume.shape[-3], volume.shape[-2], volume.shape[-1])
    padded = torch.cat([curve.to(volume), curve.new_zeros(2).to(volume)])
    shell, part = _between_shells(box, volume.device)
    low, part = shell.clamp_max(len(padded) - 2), part.to(volume.dtype)
    factor = torch.lerp(padded.take(low), padded.take(low + 1), part.where(shell == low, 1))
    return from_half_spectrum(to_half_spectrum(volume) * factor, box)


@kept(4)
def _between_shells(box: Box, device: torch.device) -> tuple[Integer[Tensor, "z y kx"], Float[Tensor, "z y kx"]]:
    """The shell below each coefficient, and how far it is on the way to the next."""
    radius = half_frequencies(box, device=device).norm(dim=-1) * max(box)
    shell = radius.floor()
    return shell.long(), radius - shell


@dataclass(frozen=True)
class Scrambling:
    """A volume whose phases are made random, as often as one likes.

    The phases are those of white noise, so the result is real. Source: Chen et al. 2013, Ultramicroscopy 135:24.

    Attributes
    ----------
    spectrum, size
        Transform of the volume, and its magnitude.
    beyond
        Where phases become random.
    box
        Of the volume.
    """

    spectrum: Complex[Tensor, "z y kx"]
    size: Float[Tensor, "z y kx"]
    beyond: Bool[Tensor, "z y kx"]
    box: Box

    @staticmethod
    def of(volume: Float[Tensor, "z y x"], first_shell: int) -> Scrambling:
        """Of the phases from `first_shell` outwards."""
        box = (volume.shape[-3], volume.shape[-2], volume.shape[-1])
        spectrum = to_half_spectrum(volume)
        return Scrambling(spectrum, spectrum.abs(), half_shells(box, volume.device) >= first_shell, box)

    def draw(self, generator: torch.Generator | None = None) -> Float[Tensor, "z y x"]:
        """The volume with other phases."""
        noise = torch.randn(self.box, generator=generator, dtype=self.size.dtype).to(self.size.device)
        random = to_half_spectrum(noise)
        tiny = torch.finfo(self.size.dtype).tiny
        replaced = random * (self.size * squared_size(random).clamp_min(tiny).rsqrt())
        return from_half_spectrum(torch.where(self.beyond, replaced, self.spectrum), self.box)
