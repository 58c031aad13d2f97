"""Phases alone: a loss that no amplitude of the particle enters."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from torchsag.fourier import hermitian_multiplicity, to_half_spectrum
from torchsag.losses.constrained import box_deviation
from torchsag.losses.loss import AXES, Masks, Parts, PerPart


@dataclass(frozen=True)
class PhaseResidual:
    """``1 - sum |G| cos(phase of F - phase of G) / sum |G|`` over the transforms F, G of f* and g*.

    The phase residual of electron microscopy (Frank, Goldfarb, Eisenberg & Baker 1978, Ultramicroscopy 3:283) with the
    cosine in place of the squared angle, so that it is smooth, and weighted by the reference's amplitudes alone. A few
    strong coefficients, such as those of a gold bead, count no more than others.
    """

    @property
    def additive(self) -> bool:
        """Normalised by the whole reference."""
        return False

    def loss(self, observed: Parts, model: Parts, mask: Masks) -> PerPart:
        """Weighted mean of one minus the cosine."""
        first, second = (to_half_spectrum(box_deviation(part, mask)) for part in (observed, model))
        tiny = torch.finfo(observed.dtype).tiny
        phase = first / (first.real.square() + first.imag.square()).clamp_min(tiny).sqrt()
        # The square root's slope at zero would be infinite.
        size = (second.real.square() + second.imag.square() + tiny).sqrt()
        box = (observed.shape[-3], observed.shape[-2], observed.shape[-1])
        count = hermitian_multiplicity(box, observed.device).to(observed)
        along = (count * (phase * second.conj()).real).sum(AXES)
        return 1 - along / (count * size).sum(AXES)
