"""The full pipeline: projections, CTF, damage, noise, detector, weighted back-projection.

``image = mtf * (ctf * damage * projection + white noise)`` and, where the detector adds noise of its own, that too.
SNR here is ``variance of ctf * damage * projection over the image / variance of the noise per pixel``, both before the
detector, on average over views and tilts. (As for tomograms in silico since Foerster et al. 2008, J. Struct. Biol.
161:276; not the SNR of `torchsag.simulation.fast`.) The signal that the CTF moves out of an image comes back in on its
other side: give the particle a box wide enough for its defocus.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import half_frequencies, hermitian_multiplicity, to_half_spectrum
from torchsag.geometry import Poses
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.detector import Detector, PixelDetector
from torchsag.imaging.dose import remaining_signal
from torchsag.imaging.projection import TiltGeometry
from torchsag.imaging.wedge import missing_wedge
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.simulation.back_projection_filters import BackProjectionFilter, ExactFilter
from torchsag.simulation.randomness import Purpose, particle_stream, white_noise
from torchsag.simulation.reconstruction import Reconstruction
from torchsag.simulation.tilt_scheme import RegularTilts, TiltScheme
from torchsag.spectra.gridding import ContinuousSpectrum

_COEFFICIENTS_AT_ONCE = 2**20
_DIRECTIONS = 400


@dataclass(frozen=True)
class TiltSeriesPipeline:
    """Subtomograms as a microscope and a reconstruction program make them.

    Attributes
    ----------
    snr
        Variance of the CTF-modulated projection over the image by noise variance per pixel, before the detector;
        infinite for no noise (snr=inf).
    tilts
        The images and their order.
    microscope
        Voltage, aberration, amplitude contrast.
    defocus_um
        Micrometre, negative for underfocus.
    defocus_spread_um
        Each particle's own defocus lies within this of defocus_um; above 0, every particle has a weight volume of its
        own.
    detector
        Its modulation transfer.
    readout_noise
        Share of the noise variance that the detector adds after its modulation transfer.
    filter
        Weights of the back-projection.
    """

    snr: float = 0.05
    tilts: TiltScheme = field(default_factory=RegularTilts)
    microscope: Microscope = field(default_factory=Microscope)
    defocus_um: float = -6.0
    defocus_spread_um: float = 0.0
    detector: Detector = field(default_factory=PixelDetector)
    readout_noise: float = 0.0
    filter: BackProjectionFilter = field(default_factory=ExactFilter)

    def __post_init__(self):
        if not self.snr > 0:
            raise InputError(f"snr: expected a number above 0 (infinity for no noise), got {self.snr}")
        if not math.isfinite(self.defocus_um):
            raise InputError(f"pipeline: expected a finite defocus_um, got {self.defocus_um}")
        if not 0 <= self.defocus_spread_um < math.inf:
            raise InputError(f"pipeline: expected a finite defocus_spread_um >= 0, got {self.defocus_spread_um}")
        if not 0 <= self.readout_noise <= 1:
            raise InputError(f"pipeline: expected readout_noise in 0 to 1, got {self.readout_noise}")

    @property
    def snr_convention(self) -> str:
        """What the SNR is the ratio of."""
        return "variance of the CTF-modulated projection over the image / noise variance per pixel, before the detector"

    def prepare(self, reference: DensityMap) -> PreparedTiltSeries:
        """Transform the reference and set the noise level."""
        box = reference.box[0]
        if len(set(reference.box)) > 1:
            raise InputError(f"tilt series: expected a cubic box, got {reference.box} voxels")
        density = reference.density.float()
        spectrum = ContinuousSpectrum.of(density)
        tilts = torch.deg2rad(torch.tensor(self.tilts.angles_deg, dtype=torch.float64)).to(density)
        geometry = TiltGeometry(tilts, box)
        frequency = geometry.image_frequencies.norm(dim=-1)
        mtf = self.detector.mtf(frequency)
        return PreparedTiltSeries(
            self,
            spectrum,
            geometry,
            reference.voxel_size,
            rotational_power(spectrum, frequency),
            mtf,
            (1 - self.readout_noise) * mtf.square() + self.readout_noise,
        )


@dataclass(frozen=True)
class PreparedTiltSeries:
    """A tilt-series pipeline for one reference."""

    settings: TiltSeriesPipeline
    reference: ContinuousSpectrum
    geometry: TiltGeometry
    voxel_size: float
    signal_power: Float[Tensor, "y kx"]
    mtf: Float[Tensor, "y kx"]
    noise_power: Float[Tensor, "y kx"]

    def __call__(self, poses: Poses, particles: Sequence[int], seed: int) -> ParticleBatch:
        """Image and reconstruct particles; each distinct defocus gives one weight."""
        poses = poses.to(self.mtf)
        defoci = self.defoci(particles, seed)
        distinct = sorted(set(defoci))
        volumes = torch.empty(len(particles), *(self.geometry.box,) * 3, device=self.mtf.device)
        weights = []
        for defocus in distinct:
            reconstruct = self.reconstruction(defocus)
            weights.append(reconstruct.transfer)
            members = [i for i, value in enumerate(defoci) if value == defocus]
            step = max(1, _COEFFICIENTS_AT_ONCE // reconstruct.weights.numel())
            for start in range(0, len(members), step):
                rows = members[start : start + step]
                images = self.images(poses[rows], defocus) + self.noise([particles[i] for i in rows], seed)
                volumes[rows] = reconstruct(images)
        index = torch.tensor([distinct.index(defocus) for defocus in defoci], device=self.mtf.device)
        names = tuple(f"particle_{i:06d}" for i in particles)
        return ParticleBatch.from_volumes(volumes, torch.stack(weights), index, names, self.voxel_size)

    def defoci(self, particles: Sequence[int], seed: int) -> list[float]:
        """Each particle's own defocus at tilt zero, micrometre."""
        spread = self.settings.defocus_spread_um
        if spread == 0:
            return [self.settings.defocus_um] * len(particles)
        draws = [float(particle_stream(seed, i, Purpose.DEFOCUS).uniform(-1, 1)) for i in particles]
        return [self.settings.defocus_um + spread * draw for draw in draws]

    def images(self, poses: Poses, defocus_um: float) -> Complex[Tensor, "particles tilts y kx"]:
        """Noise-free images as the detector shows them."""
        return self.geometry.project(self.reference, poses) * self.modulation(defocus_um) * self.mtf

    def noise(self, particles: Sequence[int], seed: int) -> Complex[Tensor, "particles tilts y kx"]:
        """Noise of the images as the detector shows it."""
        box = self.geometry.box
        shape = (len(self.geometry.tilts), 1, box, box)
        fields = white_noise(seed, particles, shape).to(self.mtf.device)
        return to_half_spectrum(fields).squeeze(-3) * (self.sigma * self.noise_power.sqrt())

    def modulation(self, defocus_um: float) -> Float[Tensor, "tilts y kx"]:
        """CTF and radiation damage of each image."""
        settings = self.settings
        frequency = self.geometry.image_frequencies.norm(dim=-1) / self.voxel_size
        offsets = torch.tensor(settings.tilts.defocus_offsets_um).to(frequency)
        exposures = torch.tensor(settings.tilts.exposures).to(frequency)
        transfer = settings.microscope.ctf(frequency, (defocus_um + offsets)[:, None, None])
        return transfer * remaining_signal(frequency, exposures[:, None, None], settings.microscope.voltage_kv)

    def reconstruction(self, defocus_um: float) -> Reconstruction:
        """The back-projection that belongs to a defocus."""
        transfer = self.modulation(defocus_um) * self.mtf
        weights = self.settings.filter.weights(self.geometry, transfer, self.noise_power)
        angles = self.settings.tilts.angles_deg
        box = (self.geometry.box, self.geometry.box, self.geometry.box)
        support = missing_wedge(box, min(angles), max(angles), self.mtf.device)
        support = support * (half_frequencies(box, self.mtf.device).norm(dim=-1) < 0.5)
        return Reconstruction.prepare(self.geometry, weights, transfer, self.noise_power, support)

    @cached_property
    def sigma(self) -> float:
        """Standard deviation of the noise per pixel, before the detector."""
        box = self.geometry.box
        power = self.modulation(self.settings.defocus_um).square() * self.signal_power
        power = power * hermitian_multiplicity((1, box, box), power.device) * self.geometry.measured
        power[:, 0, 0] = 0  # the mean is no part of the variance
        return math.sqrt(float(power.sum() / len(power)) / box**4 / self.settings.snr)


def rotational_power(spectrum: ContinuousSpectrum, frequency: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Power of a map's transform at `frequency` (cycles per voxel, at most 1/2), averaged over all directions.

    Averaged on spheres a quarter of a Fourier shell apart: averages over whole shells would be wrong by tens of percent
    at the lowest frequencies, where the power falls steeply and where most of it is.
    """
    radii = torch.linspace(0, 0.5, 2 * max(spectrum.box) + 1, device=frequency.device)
    # A spiral of equal areas, rising in z by equal steps and turning by the golden angle.
    turn = torch.arange(_DIRECTIONS, device=frequency.device, dtype=torch.float32)
    z = 1 - (2 * turn + 1) / _DIRECTIONS
    azimuth = turn * math.pi * (3 - math.sqrt(5))
    across = (1 - z.square()).sqrt()
    directions = torch.stack([across * torch.cos(azimuth), across * torch.sin(azimuth), z], -1)
    power = spectrum.at(radii[:, None, None] * directions).abs().square().mean(1)
    position = (frequency.clamp_max(0.5) * 2 * (len(radii) - 1)).clamp_max(len(radii) - 1)
    low = position.floor().long().clamp_max(len(radii) - 2)
    return torch.lerp(power[low], power[low + 1], position - low)
