"""``rlnCtfImage``: the weight of each particle as RELION 3.1 reads it.

RELION's 3D CTF image H is the transfer function over white noise, which is what `Transfer` means here: a float32 volume
of the particle's box with the zero frequency at the centre, or the half spectrum in FFT order (RELION 3.1.3,
``ml_optimiser.cpp`` and ``reconstructor.cpp``). It reads no float16.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from torchsag.axes import Box, HalfWeights
from torchsag.errors import InputError
from torchsag.fourier import half_weight
from torchsag.fourier.transforms import full_weight
from torchsag.imaging.wedge import missing_wedge
from torchsag.io.volumes import read_volume, write_map
from torchsag.particles import Corrected, DensityMap, TiltRange, TiltScheme, Transfer, VolumeSource, Weighting
from torchsag.particles.tilt_weight import scheme_weight

COLUMN = "rlnCtfImage"
_FLOAT32 = 2  # MRC's mode


@dataclass(frozen=True)
class CtfImages:
    """Names, or makes, the CTF images of a list.

    Attributes
    ----------
    folder
        Where images are written that do not exist as RELION wants them.
    start
        Where the names of the list start.
    box, voxel_size
        Of the particles, voxels and angstrom.
    weighting
        What weight volumes mean.
    """

    folder: Path
    start: Path
    box: Box
    voxel_size: float
    weighting: Weighting

    def names(self, sources: Sequence[object], listed: Sequence[str] | None) -> list[str] | None:
        """A name for each particle; None where one of them has no weight that RELION could use.

        Parameters
        ----------
        sources
            The weight of each particle.
        listed
            What the list calls the weight volumes, kept word for word where they can stay as they are.
        """
        made: dict[object, str | None] = {}
        names: list[str] = []
        for row, source in enumerate(sources):
            if source not in made:
                try:
                    made[source] = self._name(source, None if listed is None else listed[row])
                except (InputError, OSError):  # a file that has gone since must not cost the list
                    made[source] = None
            name = made[source]
            if name is None:
                return None
            names.append(name)
        return names

    def _name(self, source: object, listed: str | None) -> str | None:
        if isinstance(source, TiltRange):
            wedge = missing_wedge(self.box, source.tilt_min_deg, source.tilt_max_deg, axis_deg=source.axis_deg)
            return self._write(wedge)
        if isinstance(source, TiltScheme):
            return self._write(scheme_weight(self.box, self.voxel_size, source))
        if not isinstance(source, VolumeSource):
            return None
        if isinstance(self.weighting, Transfer) and listed is not None and _is_plain_float32(source):
            return listed
        if not isinstance(self.weighting, (Transfer, Corrected)):
            return None
        stored = read_volume(source)
        weight = half_weight(stored) if tuple(stored.shape) == self.box else stored
        binary = bool(((weight == 0) | (weight == 1)).all())
        if isinstance(self.weighting, Corrected) and not binary:
            return None  # particles would have to be multiplied by the root of it
        return self._write(weight)

    def _write(self, weight: HalfWeights) -> str:
        """One file for each weight, named by what is in it."""
        volume = full_weight(weight.float(), self.box).contiguous()
        digest = hashlib.sha256(volume.numpy().tobytes()).hexdigest()[:12]
        path = self.folder / f"{digest}.mrc"
        if not path.exists():
            write_map(path, DensityMap(volume.to(torch.float32), self.voxel_size))
        return Path(os.path.relpath(path.resolve(), self.start.resolve())).as_posix()


def _is_plain_float32(source: VolumeSource) -> bool:
    if source.index is not None or source.path.suffix != ".mrc":
        return False
    with source.path.open("rb") as file:
        file.seek(12)
        return int.from_bytes(file.read(4), "little") == _FLOAT32
