"""The fast pipeline: place the reference, add white noise, apply the wedge.

SNR here is ``variance of the signal over the whole box / variance of the noise per voxel``, both before the wedge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from torchsag.axes import HalfSpectra, HalfWeights
from torchsag.errors import InputError
from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Poses
from torchsag.imaging.placement import Coefficients, place_coefficients
from torchsag.imaging.wedge import missing_wedge
from torchsag.keeping import kept_property
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.requirements import require_kind, require_whole
from torchsag.simulation.pose_distribution import UniformPoses
from torchsag.simulation.randomness import white_noise
from torchsag.spectra.gridding import ContinuousSpectrum

_VOXELS_AT_ONCE = 2**20


@dataclass(frozen=True)
class FastPipeline:
    """Rotate and shift, add white noise, cut the missing wedge: the model of the particles, and nothing else.

    Attributes
    ----------
    snr
        Signal variance over the whole box by noise variance per voxel, before the wedge; infinite for no noise.
    tilt_max_deg
        Last tilt angle of the series, degrees.
    tilt_min_deg
        First tilt angle; None for ``-tilt_max_deg``.
    """

    snr: float = 0.1
    tilt_max_deg: float = 60.0
    tilt_min_deg: float | None = None

    def __post_init__(self):
        if not self.snr > 0:
            raise InputError(f"snr: expected a number above 0 (infinity for no noise), got {self.snr}")
        if not -90 <= self.first_deg < self.tilt_max_deg <= 90:
            raise InputError(
                "tilt range: expected angles from -90 to 90 degrees, the first below the last, got "
                f"{self.first_deg:g} to {self.tilt_max_deg:g}"
            )

    @property
    def first_deg(self) -> float:
        """First tilt angle, degrees."""
        return -self.tilt_max_deg if self.tilt_min_deg is None else self.tilt_min_deg

    @property
    def snr_convention(self) -> str:
        """What the SNR is the ratio of."""
        return "variance of the signal over the box / noise variance per voxel, before the wedge"

    def prepare(self, reference: DensityMap) -> PreparedFast:
        """Transform the reference and set the noise level."""
        density = reference.density.float()
        wedge = missing_wedge(reference.box, self.first_deg, self.tilt_max_deg, density.device)
        sigma = math.sqrt(float(density.var(correction=0)) / self.snr)
        return PreparedFast(ContinuousSpectrum.of(density), wedge, sigma, reference.voxel_size)


@dataclass(frozen=True)
class PreparedFast:
    """The fast pipeline for one reference."""

    reference: ContinuousSpectrum
    wedge: HalfWeights
    sigma: float
    voxel_size: float

    def __call__(self, poses: Poses, particles: Sequence[int], seed: int) -> ParticleBatch:
        """Image particles; they share the wedge as their weight."""
        box, device = self.reference.box, self.wedge.device
        poses = poses.to(self.wedge)
        step = max(1, _VOXELS_AT_ONCE // math.prod(box))
        chunks = [slice(start, start + step) for start in range(0, len(particles), step)]
        parts = [self._spectra(poses[chunk], particles[chunk], seed) for chunk in chunks]
        empty = self.wedge.new_zeros(0, *self.wedge.shape, dtype=torch.complex64)
        spectra = parts[0] if len(parts) == 1 else torch.cat([empty, *parts])
        index = torch.zeros(len(particles), dtype=torch.long, device=device)
        names = tuple(f"particle_{i:06d}" for i in particles)
        return ParticleBatch(spectra, self.wedge[None], index, names, self.voxel_size, box)

    def _spectra(self, poses: Poses, particles: Sequence[int], seed: int) -> HalfSpectra:
        measured = self._measured
        placed = place_coefficients(self.reference, poses, measured) * self.wedge.flatten()[measured.positions]
        if self.sigma == 0:
            return measured.add(placed, placed.new_zeros(len(poses), *measured.shape))
        noise = white_noise(seed, particles, self.reference.box).to(self.wedge.device)
        return measured.add(placed, to_half_spectrum(noise) * (self.sigma * self.wedge))

    @kept_property
    def _measured(self) -> Coefficients:
        """What the wedge leaves: nothing else needs to be placed."""
        return Coefficients.inside(self.reference.box, self.wedge.device, self.wedge.dtype, self.wedge > 0)


def simulate_particles(
    reference: DensityMap,
    count: int,
    snr: float,
    tilt_min_deg: float = -60.0,
    tilt_max_deg: float = 60.0,
    max_shift: float = 3.0,
    seed: int = 0,
    start: int = 0,
) -> tuple[ParticleBatch, Poses]:
    """Particles ``start .. start + count - 1`` of the set that `seed` stands for, and their true poses.

    Parameters
    ----------
    reference
        The structure; the particles get its box, voxel size and device.
    count
        How many particles.
    snr
        Signal variance over the whole box by noise variance per voxel, before the wedge; infinite for no noise.
    tilt_min_deg, tilt_max_deg
        Range of the tilt series, degrees.
    max_shift
        Radius of the ball the shifts are drawn from, voxels.
    seed
        Fixes everything: particle i depends on the seed and i alone, not on the batch or the device.
    start
        Number of the first particle.

    Returns
    -------
    The particles with their binary wedge as weight, and the true poses (float32). The batch carries no prior poses.
    """
    require_kind("reference", reference, DensityMap, "a DensityMap", "DensityMap(density, voxel_size) makes one")
    require_whole("count", count, 1)
    require_whole("seed", seed)
    require_whole("start", start)
    particles = range(start, start + count)
    poses = UniformPoses(max_shift).draw(seed, particles).to(torch.float32).to(reference.density.device)
    pipeline = FastPipeline(snr, tilt_max_deg, tilt_min_deg).prepare(reference)
    return pipeline(poses, particles, seed), poses
