"""Particles of several boxes and voxel sizes brought to one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Box, HalfWeights
from torchsag.fourier import crop, from_half_spectrum, half_frequencies
from torchsag.fourier.transforms import full_weight
from torchsag.particles.batch import ParticleBatch
from torchsag.spectra.gridding import ContinuousSpectrum


@dataclass(frozen=True)
class Sampling:
    """How a particle is sampled.

    Attributes
    ----------
    box
        Size (z, y, x) in voxels, a cube.
    voxel_size
        Angstrom per voxel.
    """

    box: Box
    voxel_size: float


def usual_sampling(samplings: Sequence[Sampling]) -> Sampling:
    """The one that most particles have; of several as common, the finest."""
    counts = Counter(samplings)
    most = max(counts.values())
    return min((s for s, n in counts.items() if n == most), key=lambda s: (s.voxel_size, -s.box[0]))


def resampled(batch: ParticleBatch, sampling: Sampling) -> ParticleBatch:
    """The same particles in another box and at another voxel size, centre on centre.

    What lies outside the new box is cut off, what the old one does not reach is empty, and frequencies beyond the old
    Nyquist limit were not measured. The transform is evaluated at the new lattice's frequencies, whatever the ratio of
    the voxel sizes. The noise keeps its standard deviation per voxel, and densities their values.
    """
    ratio = batch.voxel_size / sampling.voxel_size
    n, old = sampling.box[0], batch.box[0]
    inner = min(old, int(n / ratio + 1e-6))
    frequencies = half_frequencies(sampling.box, batch.spectra.device) * ratio
    inside = frequencies.abs().amax(-1) <= 0.5
    noise = (n / inner) ** 1.5
    volumes = crop(from_half_spectrum(batch.spectra, batch.box), (inner, inner, inner))
    spectra = batch.spectra.new_zeros(len(batch), *inside.shape)
    for spectrum, volume in zip(spectra, volumes, strict=True):
        spectrum[inside] = ContinuousSpectrum.of(volume).at(frequencies[inside]) * noise
    weights = torch.stack([_interpolated(weight, batch.box, frequencies) for weight in batch.weights])
    weights = weights * inside * (noise / ratio**3)
    poses = None if batch.poses is None else replace(batch.poses, shifts=batch.poses.shifts * ratio)
    weight_of = weights[batch.weight_index] > 0
    return ParticleBatch(
        spectra * weight_of, weights, batch.weight_index, batch.names, sampling.voxel_size, sampling.box, poses
    )


def _interpolated(weight: HalfWeights, box: Box, frequencies: Float[Tensor, "new_z new_y new_kx 3"]) -> Tensor:
    """A weight between its samples, trilinear."""
    whole = full_weight(weight, box)[None, None]
    n = box[0]
    place = frequencies * n + n // 2  # in samples from the first one
    grid = (2 * place / (n - 1) - 1)[None].to(whole)
    return torch.nn.functional.grid_sample(whole, grid, align_corners=True, padding_mode="border")[0, 0]
