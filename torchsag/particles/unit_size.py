"""Particles on a scale of their own near one, for whatever fits their amplitude anyway."""

from __future__ import annotations

from dataclasses import replace

import torch

from torchsag.particles.batch import ParticleBatch


def of_unit_size(particles: ParticleBatch) -> ParticleBatch:
    """The same particles, each multiplied by a number that brings its largest coefficients to those of unit noise.

    Sums of squares of squares would leave float32 for particles of 1e-8 or 1e10. The numbers are powers of two, which
    change no digit. The coefficients at k_x = 0, with the mean among them, have no say.
    """
    z, y, x = particles.box
    parts = torch.view_as_real(particles.spectra.detach()[..., 1:])
    largest, smallest = parts.amax((-4, -3, -2, -1)), parts.amin((-4, -3, -2, -1))
    size = torch.maximum(largest, -smallest) / (z * y * x) ** 0.5
    known = size.isfinite() & (size > 0)
    factor = torch.exp2(-torch.where(known, size, 1.0).log2().round())
    return replace(particles, spectra=particles.spectra * factor[:, None, None, None])
