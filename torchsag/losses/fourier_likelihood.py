"""The likelihood of a particle whose noise is coloured: every Fourier shell by its own noise power."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from torchsag.errors import InputError
from torchsag.fourier import half_shells, hermitian_multiplicity, shell_sums, to_half_spectrum
from torchsag.losses.constrained import box_deviation
from torchsag.losses.loss import AXES, Masks, Parts, PerPart


@dataclass(frozen=True)
class FourierLikelihood:
    """``sum_k |F(k) - a G(k)|^2 / (2 s^2(|k|))``: the negative log-likelihood at its best amplitude a.

    F and G are the transforms of f* and g*, s^2 the particle's own power by shell, which is that of its noise wherever
    a subtomogram is noisy enough to need this. The default method minimises the same over Fourier blocks, with
    analytic derivatives and the noise re-estimated (`torchsag.likelihood.noise_spectrum`); here it is a loss among
    others.

    Attributes
    ----------
    least_power
        Shells with less power than this part of the strongest are taken to have as much: what lies beyond the band is
        leakage of the mask.
    """

    least_power: float = 1e-2

    def __post_init__(self):
        if not 0 < self.least_power < 1:
            raise InputError(f"fourier likelihood: expected least_power between 0 and 1, got {self.least_power}")

    @property
    def additive(self) -> bool:
        """A sum over coefficients, each of which needs the whole volume."""
        return False

    def loss(self, observed: Parts, model: Parts, mask: Masks) -> PerPart:
        """Whitened squared distance of the transforms."""
        box = (observed.shape[-3], observed.shape[-2], observed.shape[-1])
        first, second = (to_half_spectrum(box_deviation(part, mask)) for part in (observed, model))
        weight = hermitian_multiplicity(box, observed.device).to(observed) * self._precision(first, box)
        cross = (weight * (first * second.conj()).real).sum(AXES)
        energy = (weight * _power(second)).sum(AXES).clamp_min(torch.finfo(cross.dtype).tiny)
        amplitude = (cross / energy).clamp_min(0)[..., None, None, None]
        return 0.5 * (weight * _power(first - amplitude * second)).sum(AXES)

    def _precision(self, spectrum: torch.Tensor, box: tuple[int, int, int]) -> torch.Tensor:
        """One by the particle's power, for each coefficient."""
        count = shell_sums(torch.ones_like(spectrum.real), box)
        power = shell_sums(_power(spectrum), box) / count.clamp_min(1)
        power = torch.maximum(power, self.least_power * power.amax(-1, keepdim=True))
        shells = half_shells(box, device=power.device)
        inverse = power.clamp_min(torch.finfo(power.dtype).tiny).reciprocal()
        return inverse[..., shells.clamp_max(power.shape[-1] - 1)] * (shells < power.shape[-1])


def _power(spectrum: torch.Tensor) -> torch.Tensor:
    return spectrum.real.square() + spectrum.imag.square()
