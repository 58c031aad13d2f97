"""Cut boxes out of tomograms, bin and normalise them and write them, some at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier.resize import resample
from torchsag.io import write_map
from torchsag.io.volumes import map_volume
from torchsag.particles import DensityMap
from torchsag.particles.scale import LARGEST
from torchsag.runs.checkpoint import Columns
from torchsag.runs.signatures import signature_if_there

# Less contrast than this beside its largest value is rounding: an empty corner of the tomogram.
LEAST_CONTRAST = 1e-6


@dataclass(frozen=True)
class SubvolumeWriter:
    """Cuts particles by number; each is a file of its own, complete or absent.

    Attributes
    ----------
    folder
        Holds ``particles/``.
    tomograms
        The file of each particle.
    centres
        The voxel that becomes the box centre, (x, y, z).
    numbers
        Which entry of the list each particle is, from zero: its file is named by it.
    box
        Voxels per axis of what is written.
    binning
        Voxels of the tomogram for one of these.
    voxel_size
        Of what is written, angstrom.
    invert
        Whether the contrast is turned.
    background_radius
        Mean and variance are those outside this many voxels of the box centre; 0 takes the whole box.
    pad
        Whether a box may reach over the border.
    float16
        Whether volumes are stored in half precision.
    skip_bad
        Whether particles are set aside whose tomogram can no longer be read.
    """

    folder: Path
    tomograms: Sequence[Path]
    centres: Sequence[tuple[int, int, int]]
    numbers: Sequence[int]
    box: int
    binning: int
    voxel_size: float
    invert: bool
    background_radius: float
    pad: bool
    float16: bool
    skip_bad: bool = False

    def __call__(self, rows: range) -> Columns:
        """Cut and write `rows`; returns what is wrong with those that could not be used."""
        return {"fault": np.array([self._write(row) for row in rows])}

    def file(self, row: int) -> Path:
        """What is written for a row."""
        return self.folder / volume_name(self.numbers[row])

    def marks(self) -> list[str]:
        """By what a resumed run knows a particle: its entry, its place and its tomogram as it is now."""
        changed = {path: signature_if_there(path) for path in dict.fromkeys(self.tomograms)}
        particles = zip(self.numbers, self.centres, self.tomograms, strict=True)
        return [mark(f"{number}|{centre}|{changed[path]}") for number, centre, path in particles]

    def _write(self, row: int) -> str:
        # Mapped anew for each: what was looked at would stay in memory as long as the map.
        try:
            tomogram = map_volume(self.tomograms[row])
        except InputError as error:
            if not self.skip_bad:
                raise InputError(f"{error}; or add skip_bad=true to set its particles aside") from error
            return f"{self.name(row)}: {error}"
        volume = torch.from_numpy(cut(tomogram, self.centres[row], self.box * self.binning, self.pad))
        if reason := beyond_numbers(volume):
            return f"{self.name(row)}: {reason}"
        if self.binning > 1:
            volume = resample(volume, (self.box, self.box, self.box))
        volume = normalised(-volume if self.invert else volume, self.background_radius)
        if volume is None:
            where = f"farther than {self.background_radius:g} voxels from its centre, where noise is measured"
            return f"{self.name(row)}: has no contrast {where if self.background_radius else 'at all'}"
        write_map(self.file(row), DensityMap(volume, self.voxel_size), self.float16)
        return ""

    def name(self, row: int) -> str:
        """A particle, for messages."""
        return site_name(self.numbers[row], self.centres[row], self.tomograms[row])


def cut(tomogram: np.ndarray, centre: tuple[int, int, int], edge: int, pad: bool = False) -> np.ndarray:
    """A cube around a voxel (x, y, z), which becomes its box centre ``edge // 2``, as float32.

    With `pad` what lies outside takes the mean of what lies inside; the centre itself must lie inside.
    """
    starts = [c - edge // 2 for c in reversed(centre)]
    inside = [slice(max(s, 0), min(s + edge, n)) for s, n in zip(starts, tomogram.shape, strict=True)]
    part = np.ascontiguousarray(tomogram[inside[0], inside[1], inside[2]], dtype=np.float32)
    if part.shape == (edge, edge, edge) or not pad:
        return part
    whole = np.full((edge, edge, edge), part.mean(dtype=np.float64), np.float32)
    places = [slice(i.start - s, i.stop - s) for i, s in zip(inside, starts, strict=True)]
    whole[places[0], places[1], places[2]] = part
    return whole


def fits(shape: tuple[int, int, int], centre: tuple[int, int, int], edge: int, pad: bool = False) -> bool:
    """Whether a cube lies inside a tomogram of this shape (z, y, x), or with `pad` its centre does."""
    low, high = (0, 0) if pad else (edge // 2, edge - edge // 2 - 1)
    return all(low <= c < n - high for c, n in zip(reversed(centre), shape, strict=True))


def beyond_numbers(volume: Tensor) -> str:
    """What is wrong with values before they are normalised, after which none is large; empty if nothing is."""
    if not bool(volume.isfinite().all()):
        return "holds values that are not finite"
    largest = float(volume.abs().max())
    return f"expected values below {LARGEST:g}, got {largest:g}; is the byte order right?" if largest > LARGEST else ""


def normalised(volume: Float[Tensor, "z y x"], radius: float) -> Float[Tensor, "z y x"] | None:
    """The volume with mean 0 and variance 1 outside a sphere about the box centre; None without contrast there."""
    squares = [(torch.arange(n, dtype=torch.float64) - n // 2).square() for n in volume.shape]
    away = squares[0][:, None, None] + squares[1][:, None] + squares[2]
    outside = volume[away >= radius**2].double() if radius > 0 else volume.double()
    deviation = float(outside.std(correction=0))
    if not deviation > LEAST_CONTRAST * float(volume.abs().max()):
        return None
    return ((volume.double() - outside.mean()) / deviation).float()


def mark(text: str) -> str:
    """A short mark for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def volume_name(number: int) -> str:
    """Where the volume of an entry stands in its folder."""
    return f"particles/particle_{number:06d}.mrc"


def site_name(number: int, centre: tuple[int, int, int], tomogram: Path) -> str:
    """An entry of the list, for messages."""
    x, y, z = centre
    return f"entry {number + 1} at voxel ({x}, {y}, {z}) of {tomogram}"
