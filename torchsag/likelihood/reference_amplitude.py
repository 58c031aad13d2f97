"""How strong a reference is on each Fourier shell, measured against the particles it is to be found in.

A reference is seldom the map that the particles are images of. It is low-passed, sharpened by another B-factor, comes
from another microscope, or is an average whose noise grows with frequency. For all of these the best linear prediction
of a particle's coefficient is ``c(|k|)`` times the reference's: above one where the reference was damped, falling to
zero where it holds noise, by the ratio of Wiener's filter. Particles tell c: regress them on the reference, shell by
shell, at their poses.

Poses are themselves fitted, and at the best pose noise agrees with any model too well. So the sums are expected values
over the pose's posterior (one step of expectation maximisation; Dempster, Laird & Rubin, J. R. Stat. Soc. B 39:1,
1977) by the points of `torchsag.likelihood.posterior`, and count by the probability that the pose is the right one.

A reference times c in a particle of weight W is the reference itself in a particle of weight ``c W``: everything else
goes on as before, with other weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.fourier import half_frequencies
from torchsag.geometry import Poses
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.noise_spectrum import residual_spectrum, whitened
from torchsag.likelihood.observations import observe
from torchsag.likelihood.posterior import EVALUATIONS, spread_points
from torchsag.particles import ParticleBatch
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

_SEEN = 2.0  # 1.4 standard deviations, squared: fewer would let noise in, more would leave out faint signal


@dataclass(frozen=True)
class ShellFit:
    """Particles regressed on a reference, shell by shell, in units of their noise.

    Attributes
    ----------
    explained
        Sum of products of particles and model.
    expected
        Sum of squares of the model. The gain in log-likelihood is ``c explained - c^2 expected / 2``.
    """

    explained: Float[Tensor, " shells"]
    expected: Float[Tensor, " shells"]

    @property
    def amplitude(self) -> Float[Tensor, " shells"]:
        """The ratio of the sums less what its own error, of variance ``1 / expected``, may have added.

        A positive-part shrinkage after James and Stein: where the particles do not show the reference it is zero.
        """
        tiny = torch.finfo(self.expected.dtype).tiny
        ratio = self.explained.clamp_min(0) / self.expected.clamp_min(tiny)
        found = ratio.square() * self.expected  # squared number of standard deviations from zero
        return ratio * (1 - _SEEN / found.clamp_min(tiny)).clamp_min(0)

    @property
    def gain(self) -> float:
        """Gain in log-likelihood by the model at its best amplitudes."""
        tiny = torch.finfo(self.expected.dtype).tiny
        return 0.5 * float((self.explained.clamp_min(0).square() / self.expected.clamp_min(tiny)).sum())


def fit_by_shell(
    particles: ParticleBatch,
    tables: Sequence[FourierTable],
    poses: Poses,
    covariances: Float[Tensor, "particles 6 6"],
    ambiguity: Float[Tensor, " particles"],
) -> list[ShellFit]:
    """What particles say of each part of the reference on shells 1 .. K.

    Parameters
    ----------
    particles
        The particles, in the form in which they were aligned.
    tables
        Of parts of the reference, out to shell K; first the one that poses were found by.
    poses, covariances, ambiguity
        What an alignment found; particles without a covariance are left out.
    """
    main = tables[0]
    known = covariances.isfinite().flatten(1).all(1)
    unit = torch.eye(6, device=covariances.device)
    factor, failed = torch.linalg.cholesky_ex(torch.where(known[:, None, None], covariances.double(), unit))
    rows = (known & (failed == 0)).nonzero()[:, 0]
    band = FourierBand.by_shell(main.box, main.max_shell, poses.shifts.device)
    observed = observe(particles, band)
    everyone = torch.arange(len(particles), device=rows.device)
    observed = whitened(observed, band, residual_spectrum(observed, band, main, poses, everyone))
    points, _ = spread_points(poses[rows], factor[rows])
    each = rows.repeat_interleave(EVALUATIONS)
    right = (1 - ambiguity[rows].nan_to_num(0))[:, None]
    scale, found = None, []
    for table in tables:
        sums = block_sums(table, band, observed, points, each, torch.arange(band.num_blocks))
        cross, energy = (part.unflatten(0, (len(rows), EVALUATIONS)).mean(1) for part in (sums.cross, sums.energy))
        if scale is None:
            scale = cross.sum(1).clamp_min(0) / energy.sum(1).clamp_min(torch.finfo(energy.dtype).tiny)
        explained = (right * scale[:, None] * cross).sum(0)
        expected = (right * scale.square()[:, None] * energy).sum(0)
        found.append(ShellFit(explained, expected))
    return found


def weighted_by_amplitude(particles: ParticleBatch, amplitude: Float[Tensor, " shells"]) -> ParticleBatch:
    """The particles as images of the reference as it is: weights times its amplitude.

    Straight between shells; shell 0 is as shell 1, what lies beyond the last as the last.
    """
    if bool((amplitude == 1).all()):
        return particles
    box = particles.box
    radius = half_frequencies(box, device=particles.weights.device).norm(dim=-1) * max(box)
    curve = torch.cat([amplitude[:1], amplitude, amplitude[-1:]]).to(particles.weights)
    radius = radius.clamp_max(len(amplitude))
    low = radius.floor().long()
    factor = torch.lerp(curve[low], curve[low + 1], radius - low)
    return replace(particles, weights=particles.weights * factor)
