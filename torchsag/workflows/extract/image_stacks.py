"""Cut a particle's images out of its tilt series, some particles at a time.

As RELION 5 does it: the image of the position, cut at whole pixels, moved by what is left in Fourier space, binned by
Fourier cropping. Then each image gets mean 0 and variance 1 outside a circle, so that all of them count by their noise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_frequencies, phase_ramp, to_half_spectrum
from torchsag.fourier.resize import resample
from torchsag.io.mrc import write_mrc
from torchsag.io.tilt_series_images import TiltImages
from torchsag.io.tomograms import TiltSeries
from torchsag.io.volumes import map_volume
from torchsag.particles import VolumeSource
from torchsag.runs.checkpoint import Columns
from torchsag.runs.signatures import signature_if_there
from torchsag.workflows.extract.subvolumes import LEAST_CONTRAST, beyond_numbers, mark

_ENLARGED = 2  # boxes in which images are multiplied by their CTF, in boxes that are kept


@dataclass(frozen=True)
class ImageStackWriter:
    """Cuts particles by number; each is a stack of its visible images in a file of its own, complete or absent.

    Attributes
    ----------
    folder
        Holds ``particles/``.
    series, images
        Tilt series and their files, by the name of the tomogram.
    tomograms
        The name of each particle's tomogram.
    offsets
        Where each lies, angstrom from its tomogram's centre, (x, y, z).
    numbers
        Which entry of the list each is, from zero: its file is named by it.
    box
        Pixels per axis of what is written.
    binning
        Pixels of the tilt series for one of these.
    invert
        Whether the contrast is turned.
    background_radius
        Mean and variance are those outside this many pixels of the centre; 0 takes the whole image.
    premultiply
        Whether images are multiplied by what they pass on of the signal.
    float16
        Whether images are stored in half precision.
    skip_bad
        Whether particles are set aside whose images can no longer be read.
    """

    folder: Path
    series: dict[str, TiltSeries]
    images: dict[str, TiltImages]
    tomograms: Sequence[str]
    offsets: Float[Tensor, "particles 3"]
    numbers: Sequence[int]
    box: int
    binning: int
    invert: bool
    background_radius: float
    premultiply: bool
    float16: bool
    skip_bad: bool = False

    def __call__(self, rows: range) -> Columns:
        """Cut and write `rows`; returns which images each is in, and what is wrong with those that are not written."""
        written = [self._write(row) for row in rows]
        return {"visible": np.array([seen for seen, _ in written]), "fault": np.array([fault for _, fault in written])}

    def file(self, row: int) -> Path:
        """What is written for a row."""
        return self.folder / stack_name(self.numbers[row])

    def marks(self) -> list[str]:
        """By what a resumed run knows a particle: its entry, its place and its images as they are now."""
        changed = {
            name: "|".join(signature_if_there(path) for path in dict.fromkeys(source.path for source in images.sources))
            for name, images in self.images.items()
        }
        particles = zip(self.numbers, self.offsets.tolist(), self.tomograms, strict=True)
        return [mark(f"{number}|{offset}|{changed[name]}") for number, offset, name in particles]

    def places(self, row: int) -> Float[Tensor, "tilts 2"]:
        """Where a particle appears in each image, (x, y), pixels from the middle of the first."""
        series = self.series[self.tomograms[row]]
        return self.images[series.name].centres + series.frames[:, :2] @ self.offsets[row] / series.pixel_size

    def visible(self, row: int) -> list[bool]:
        """The images in which the whole box of a particle lies."""
        half = self.box * self.binning / 2
        places, size = self.places(row), torch.tensor(self.images[self.tomograms[row]].size)
        return ((places >= half) & (places <= size - half)).all(1).tolist()

    def _write(self, row: int) -> tuple[str, str]:
        series, seen = self.series[self.tomograms[row]], self.visible(row)
        used = [tilt for tilt, flag in enumerate(seen) if flag]
        flags = json.dumps([int(flag) for flag in seen]).replace(" ", "")
        pixel = series.pixel_size * self.binning
        try:
            images = self._cut(row, used)
        except InputError as error:
            if not self.skip_bad:
                raise InputError(f"{error}; or add skip_bad=true to set its particles aside") from error
            return flags, f"{self.name(row)}: {error}"
        if reason := beyond_numbers(images):
            return flags, f"{self.name(row)}: one of its images: {reason}"
        images = normalised(-images if self.invert else images, self.background_radius)
        if images is None:
            return flags, f"{self.name(row)}: one of its images has no contrast where noise is measured"
        if self.premultiply:
            transfer = series.optics_at(self.offsets[row])[used].transfer(images.shape[-1], pixel).float()
            spectra = to_half_spectrum(images.unsqueeze(-3)).squeeze(-3) * transfer
            images = from_half_spectrum(spectra.unsqueeze(-3), (1, images.shape[1], images.shape[2])).squeeze(-3)
        start = images.shape[-1] // 2 - self.box // 2
        kept = images[:, start : start + self.box, start : start + self.box]
        write_mrc(self.file(row), kept.contiguous().numpy(), pixel, self.float16)
        return flags, ""

    def _cut(self, row: int, used: Sequence[int]) -> Float[Tensor, "images y x"]:
        """The images of the position, centred and binned."""
        wide = self.box * (_ENLARGED if self.premultiply else 1)
        edge = wide * self.binning
        sources, places = self.images[self.tomograms[row]].sources, self.places(row)[used]
        corners = (places - edge // 2).round()
        boxes = [
            cut_image(_image(sources[tilt]), *corner, edge) for tilt, corner in zip(used, _pairs(corners), strict=True)
        ]
        shifts = torch.nn.functional.pad(corners + edge // 2 - places, (0, 1))
        spectra = to_half_spectrum(torch.from_numpy(np.stack(boxes)).unsqueeze(-3))
        ramp = phase_ramp(half_frequencies((1, edge, edge), dtype=torch.float64), shifts)
        images = from_half_spectrum(spectra * ramp.to(spectra), (1, edge, edge))
        return (images if self.binning == 1 else resample(images, (1, wide, wide))).squeeze(-3)

    def name(self, row: int) -> str:
        """A particle, for messages."""
        x, y, z = self.offsets[row].tolist()
        return f"entry {self.numbers[row] + 1} at ({x:.1f}, {y:.1f}, {z:.1f}) angstrom in {self.tomograms[row]}"


def _pairs(corners: Float[Tensor, "tilts 2"]) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in corners.tolist()]


def _image(source: VolumeSource) -> np.ndarray:
    """One image of a series, mapped: only what is cut out of it is read."""
    return map_volume(source.path)[source.index or 0]


def cut_image(image: np.ndarray, x: int, y: int, edge: int) -> np.ndarray:
    """A square whose first pixel is (x, y), as float32; what lies outside the image takes the mean of the inside."""
    inside = [slice(max(start, 0), min(start + edge, n)) for start, n in zip((y, x), image.shape, strict=True)]
    part = np.ascontiguousarray(image[inside[0], inside[1]], dtype=np.float32)
    if part.shape == (edge, edge):
        return part
    whole = np.full((edge, edge), part.mean(dtype=np.float64), np.float32)
    whole[inside[0].start - y : inside[0].stop - y, inside[1].start - x : inside[1].stop - x] = part
    return whole


def normalised(images: Float[Tensor, "images y x"], radius: float) -> Float[Tensor, "images y x"] | None:
    """Images with mean 0 and variance 1 outside a circle about the centre; None where one has no contrast there."""
    n = images.shape[-1]
    squares = (torch.arange(n, dtype=torch.float64) - n // 2).square()
    away = squares[:, None] + squares
    outside = images[:, away >= radius**2].double() if radius > 0 else images.flatten(1).double()
    deviation = outside.std(-1, correction=0)
    if not bool((deviation > LEAST_CONTRAST * images.abs().amax((1, 2))).all()):
        return None
    return ((images.double() - outside.mean(-1)[:, None, None]) / deviation[:, None, None]).float()


def stack_name(number: int) -> str:
    """Where the images of an entry stand in its folder."""
    return f"particles/particle_{number:06d}.mrcs"
