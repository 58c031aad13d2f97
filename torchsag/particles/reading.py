"""Reading particles of one sampling: volumes and what their weights mean, brought to ``W * signal + white noise``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.axes import Box
from torchsag.errors import InputError
from torchsag.fourier import half_weight, to_half_spectrum
from torchsag.imaging.wedge import missing_wedge
from torchsag.particles.particle_error import ParticleError
from torchsag.particles.scale import unusable_scale
from torchsag.particles.sources import (
    DensitySource,
    TiltRange,
    TiltScheme,
    VolumeReader,
    VolumeSource,
    WeightSource,
    WeightVolume,
)
from torchsag.particles.tilt_stack import Assembled, AssemblyStore, TiltStack
from torchsag.particles.tilt_weight import scheme_weight
from torchsag.particles.weight_cache import WeightCache
from torchsag.particles.weighting import Transfer, WeightAction, Weighting, with_multiplicity


@dataclass(frozen=True)
class ParticleReading:
    """How the particles of a set are read.

    Attributes
    ----------
    names, volumes, weights, weighting, reader, assembled
        As of `torchsag.particles.ParticleSet`.
    cache
        Keeps what weights have been interpreted as.
    """

    names: Sequence[str]
    volumes: Sequence[DensitySource]
    weights: Sequence[WeightSource]
    weighting: Weighting
    reader: VolumeReader
    assembled: AssemblyStore | None = None
    cache: WeightCache = field(default_factory=WeightCache)

    def load(
        self, indices: Sequence[int], box: Box, voxel_size: float, device: torch.device | str = "cpu"
    ) -> tuple[Complex[Tensor, "particles z y kx"], Float[Tensor, "weights z y kx"], Integer[Tensor, " particles"]]:
        """Half-spectra of some particles, their distinct weights, and which of these each particle has.

        Parameters
        ----------
        indices
            Positions in the set, of particles that are stored in this box and at this voxel size.
        box
            Size (z, y, x) in voxels.
        voxel_size
            Angstrom per voxel.
        device
            Where the tensors shall live; the whitening runs there.

        Raises
        ------
        ParticleError
            If some of them cannot be used; its `faults` name all of those in `indices`.
        """
        sources = list(dict.fromkeys(self.weights[i] for i in indices))
        volumes, assembled, faults = self._read(indices, box)
        whitenings, weight_faults = self.whitenings(sources, box, voxel_size, assembled)
        for i in indices:
            if self.weights[i] in weight_faults:
                faults.setdefault(i, f"particle {self.names[i]}: {weight_faults[self.weights[i]]}")
        if faults:
            raise ParticleError({i: faults[i] for i in indices if i in faults})
        position = {source: k for k, source in enumerate(sources)}
        weight_index = torch.tensor([position[self.weights[i]] for i in indices], device=device)
        spectra = to_half_spectrum(volumes.to(device))
        if any(source is not None for source in sources):
            spectra *= torch.stack([w.factor for w in whitenings]).to(device)[weight_index]
        return spectra, torch.stack([w.weight for w in whitenings]).to(device), weight_index

    def whitenings(
        self,
        sources: Sequence[WeightSource],
        box: Box,
        voxel_size: float,
        assembled: dict[WeightSource, WeightAction],
    ) -> tuple[list[WeightAction], dict[WeightSource, str]]:
        """What weights do to volumes of this box and voxel size, and what is wrong with those that cannot be used.

        `assembled` holds the weights that came with volumes assembled from images.
        """
        made: list[WeightAction] = []
        faults: dict[WeightSource, str] = {}
        for source in sources:
            try:
                if isinstance(source, TiltStack):
                    if source in assembled:  # else its images could not be read
                        made.append(assembled[source])
                    continue
                key = (self.weighting, source, box, voxel_size)
                made.append(self.cache.get(key, lambda source=source: self._interpret(source, box, voxel_size)))
            except (InputError, OSError) as error:
                faults[source] = f"weight {source}: {error}"
        return made, faults

    def _read(
        self, indices: Sequence[int], box: Box
    ) -> tuple[Float[Tensor, "particles z y x"], dict[WeightSource, WeightAction], dict[int, str]]:
        """Volumes, the weights that came with those assembled from images, and what is wrong with the others."""
        volumes = torch.empty(len(indices), *box)
        weights: dict[WeightSource, WeightAction] = {}
        faults: dict[int, str] = {}
        for k, i in enumerate(indices):
            source = self.volumes[i]
            try:
                if isinstance(source, TiltStack):
                    made = self._assemble(source)
                    volume, weights[source] = made.volume, made.action()
                else:
                    volume = self.reader(source)
            except (InputError, OSError) as error:
                faults[i] = f"particle {self.names[i]}: {error}"
                continue
            if tuple(volume.shape) != box:
                faults[i] = (
                    f"particle {self.names[i]}: expected a box of {box} voxels (z, y, x), "
                    f"got {tuple(volume.shape)}; has the file changed?"
                )
                continue
            low, high = map(float, volume.aminmax())
            if fault := unusable_scale(low, high):
                faults[i] = f"particle {self.names[i]}: {fault}; extract the particle again or take it out of the list"
            volumes[k] = volume
        return volumes, weights, faults

    def _assemble(self, stack: TiltStack) -> Assembled:
        kept = None if self.assembled is None else self.assembled.get(stack)
        if kept is not None:
            return kept
        made = stack.assemble(self.reader(stack))
        if self.assembled is not None and bool(torch.isfinite(made.volume).all()):
            self.assembled.put(stack, made)
        return made

    def _meaning(self, source: WeightSource) -> Weighting:
        """What a weight means: the set's meaning where it has none of its own."""
        own = source.meaning if isinstance(source, WeightVolume) else None
        return own or self.weighting

    def _interpret(self, source: WeightSource, box: Box, voxel_size: float) -> WeightAction:
        z, y, x = box
        if not isinstance(source, VolumeSource):
            weight = torch.ones(z, y, x // 2 + 1)
            if isinstance(source, TiltRange):
                weight = missing_wedge(box, source.tilt_min_deg, source.tilt_max_deg, axis_deg=source.axis_deg)
            elif isinstance(source, TiltScheme):
                return Transfer()(scheme_weight(box, voxel_size, source))
            return WeightAction(weight, weight)
        stored = self.reader(source)
        meaning = self._meaning(source)
        low, high = map(float, stored.aminmax())
        # Zeros only are the weighting's to refuse, which knows what the weight means.
        if not low == high == 0 and (fault := unusable_scale(min(low, 0.0), max(high, 0.0), "a weight")):
            raise InputError(fault)
        if tuple(stored.shape) == box:
            return meaning(half_weight(stored))
        if tuple(stored.shape) == (z, y, x // 2 + 1):  # RELION also writes the half that FFTW keeps, in FFT order
            return meaning(stored)
        if tuple(stored.shape) == (2 * z, y, x // 2 + 1):  # RELION 4 and 5: sum of CTF^2, then multiplicity
            return with_multiplicity(stored[:z], stored[z:], meaning)
        raise InputError(
            f"expected {box} voxels (zero frequency at the centre) or {(z, y, x // 2 + 1)} (half-spectrum in FFT "
            f"order; twice as many sections where the multiplicity follows), got {tuple(stored.shape)}"
        )
