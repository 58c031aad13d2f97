"""A subtomogram from its tilt series, and exactly what it then is: transfer and noise of each coefficient.

A weighted back-projection is linear: with weights c, coefficient k of the subtomogram is ``T(k) P(k) + noise`` of power
``N(k)``, where ``T = sum c H D`` and ``N = sum c^2 n D^2`` run over the image coefficients, H is an image's transfer, n
its noise power and D the box's own transform, which says how far a sample reaches in the lattice. (P is smooth over D
as far as the particle is small against the box.) Dividing by ``sqrt(N)`` and flipping phases where T is negative gives
the library's one form: white noise and a signal times ``W = |T| / sqrt(N)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.axes import HalfWeights
from torchsag.fourier import from_half_spectrum, to_half_spectrum
from torchsag.imaging.projection import TiltGeometry


@dataclass(frozen=True)
class Reconstruction:
    """The back-projection of one imaging situation (tilts, transfer, noise), shared by all particles in it.

    Attributes
    ----------
    geometry
        Where the images lie.
    weights
        Weight of each image coefficient.
    factor
        Makes the noise white and flips phases.
    transfer
        W, about one where the images pass the signal on.
    """

    geometry: TiltGeometry
    weights: Float[Tensor, "tilts y kx"]
    factor: HalfWeights
    transfer: HalfWeights

    @staticmethod
    def prepare(
        geometry: TiltGeometry,
        weights: Float[Tensor, "tilts y kx"],
        transfer: Float[Tensor, "tilts y kx"],
        noise_power: Float[Tensor, "y kx"],
        support: HalfWeights,
    ) -> Reconstruction:
        """Work out transfer and noise on the lattice; outside `support` (0 or 1) nothing counts as measured."""
        response = to_half_spectrum(geometry.back_project((weights * transfer).to(torch.complex64))).real
        noise = _lattice_noise(geometry, weights.square() * noise_power)
        inside = support > 0
        whitening = torch.where(inside, noise.clamp_min(1e-12 * float(noise.max())).rsqrt(), torch.zeros_like(noise))
        signed = response * whitening
        scale = signed[inside].square().mean().rsqrt()
        return Reconstruction(geometry, weights, whitening * signed.sign() * scale, signed.abs() * scale)

    def __call__(self, images: Complex[Tensor, "particles tilts y kx"]) -> Float[Tensor, "particles z y x"]:
        """Subtomograms of image half-spectra, in canonical form."""
        box = (self.geometry.box, self.geometry.box, self.geometry.box)
        volumes = self.geometry.back_project(images * self.weights)
        return from_half_spectrum(to_half_spectrum(volumes) * self.factor, box)


def _lattice_noise(geometry: TiltGeometry, power: Float[Tensor, "tilts y kx"]) -> HalfWeights:
    """``sum power D^2`` on the lattice: D^2 is the transform of a triangle twice as wide as the box."""
    box = geometry.box
    spread = geometry.back_project(power.to(torch.complex64), 2 * box)
    offset = torch.arange(2 * box, device=power.device) - box
    triangle = (1 - offset.abs() / box).to(power)
    spread = spread * triangle[:, None, None] * triangle
    # Sampling the spectrum at every second frequency folds the doubled box onto the box.
    folded = spread.reshape(2, box, box, 2 * box).sum(0).reshape(box, box, 2, box).sum(2)
    # The doubled box's centre is its voxel `box`, which the fold brings to voxel 0.
    centred = folded.roll((box // 2, box // 2), (0, 2))
    return to_half_spectrum(centred).real.clamp_min(0)
