"""The least pose error that a reference allows that is not the map the particles are images of.

The bound of Cramer and Rao asks for the exact map. Of that map G a reference R knows, on each Fourier shell, the part
``c R`` with ``c = Re<G, R> / <R, R>``: the best linear prediction, which an amplitude by shell can reach
(`torchsag.likelihood.reference_amplitude`). What it misses, of power ``P = <G, G> - c^2 <R, R>``, is in the particle
like noise. So the bound with this reference is that of the map ``c R`` in noise of variance ``sigma^2 + a^2 W^2 P / 2``
in each of a coefficient's two components. It is the exact one where R is G times any curve.

Limit: what is missed counts as independent from coefficient to coefficient. Where it is confined to a part of the box,
as in a tightly masked average, neighbours share it, and errors are somewhat larger than this says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.fourier import shell_sums, to_half_spectrum
from torchsag.fourier.radial import apply_shell_curve
from torchsag.geometry import Poses
from torchsag.imaging.reference import isolated
from torchsag.likelihood.fisher import noise_variance, pose_covariance
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.observations import Observations, observe
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable


@dataclass(frozen=True)
class KnownPart:
    """What a reference knows of a map.

    Attributes
    ----------
    density
        The best prediction of the map by the reference times a curve over shells.
    missed
        Power of the rest, per coefficient, on shells 0 .. n // 2.
    """

    density: Float[Tensor, "z y x"]
    missed: Float[Tensor, " shells"]

    @staticmethod
    def of(structure: Float[Tensor, "z y x"], reference: Float[Tensor, "z y x"]) -> KnownPart:
        """Regress the map on the reference, shell by shell."""
        box = (structure.shape[0], structure.shape[1], structure.shape[2])
        true, given = to_half_spectrum(structure), to_half_spectrum(reference)
        products = torch.stack([(true * given.conj()).real, given.abs().square(), true.abs().square()])
        common, power, whole = shell_sums(products.double(), box)
        tiny = torch.finfo(power.dtype).tiny
        curve = common.clamp_min(0) / power.clamp_min(tiny)
        size = shell_sums(torch.ones_like(products[0]).double(), box).clamp_min(1)
        missed = (whole - curve * common.clamp_min(0)).clamp_min(0) / size
        predicted = apply_shell_curve(reference, curve.to(reference))
        return KnownPart(predicted, missed.to(structure.dtype))


def bound_with_reference(
    particles: ParticleBatch, structure: DensityMap, reference: DensityMap, poses: Poses
) -> Float[Tensor, "particles 6 6"]:
    """The least covariance of poses (tangent moves: radians, voxels) found with this reference.

    Noise and scale of each particle are those that it shows beside the exact map at its true pose. NaN where the
    reference determines no pose.

    Parameters
    ----------
    particles
        Images of `structure`.
    structure
        The exact map, in the particles' (cubic) box.
    reference
        What the particles are aligned to, in the same box.
    poses
        The true poses.
    """
    box = structure.box[0]
    band = FourierBand.of(box, box // 2 - 1, device=structure.density.device)
    observed, every = observe(particles, band), torch.arange(len(particles), device=poses.shifts.device)
    exact = isolated(structure.density.float())
    known = KnownPart.of(exact, isolated(reference.density.float()))
    sums = _sums(exact, band, observed, poses, every)
    variance, amplitude = noise_variance(observed, sums.matched_filter[:, 0]), sums.amplitude[:, 0]
    blurred = _in_noise_of(observed, known.missed[band.shells], amplitude.square() / (2 * variance))
    return pose_covariance(_sums(known.density, band, blurred, poses, every), amplitude, variance)


def _sums(density: Tensor, band: FourierBand, observed: Observations, poses: Poses, particle: Tensor):
    table = FourierTable.from_density(density, band.max_shell)
    return block_sums(table, band, observed, poses, particle, torch.arange(band.num_blocks)).total()


def _in_noise_of(
    observed: Observations, missed: Float[Tensor, " coefficients"], scale: Float[Tensor, " particles"]
) -> Observations:
    """Weights less by what the missed power adds to the noise; `scale` brings it into units of that noise."""
    weights = observed.weights[observed.weight_index]
    lowered = weights / (1 + scale[:, None] * missed * weights)
    return replace(observed, weights=lowered, weight_index=torch.arange(len(observed), device=missed.device))
