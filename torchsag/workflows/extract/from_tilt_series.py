"""Tilt images out of aligned series: where each entry lies in its tomogram, and in which images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io import relion
from torchsag.io.particle_list import ParticleList
from torchsag.io.star import Loop
from torchsag.io.tilt_series_images import TiltImages, read_tilt_images
from torchsag.io.tilt_stacks import CENTRED, offsets_from_centre
from torchsag.io.tomograms import TiltSeries, read_tilt_series
from torchsag.runs.checkpoint import Columns
from torchsag.workflows.extract.image_list import write_image_list
from torchsag.workflows.extract.image_stacks import ImageStackWriter
from torchsag.workflows.extract.plan import Plan
from torchsag.workflows.extract.usable_sources import usable_sources


@dataclass(frozen=True)
class FromTiltSeries:
    """Settings of `torchsag.workflows.extract.command.Extract` that concern tilt images."""

    out: Path
    tomograms: Path
    box: int
    binning: int
    counted_from: float
    voxel_size_angstrom: float | None
    invert: bool
    background_radius: float
    premultiply: bool
    float16: bool
    skip_bad: bool

    def plan(self, listing: ParticleList) -> Plan:
        """Where to cut.

        Raises
        ------
        InputError
            If a series or a file of it is missing or damaged (with `skip_bad` of all), series differ in pixel size, the
            list gives no positions or not what they count, or not one particle lies in an image.
        """
        names = listing.tomograms
        if names is None:
            raise InputError(
                f"{listing.path}: names no tomograms; expected the names that {self.tomograms} knows them by"
            )
        if not self.tomograms.is_file():
            raise InputError(f"tilt_series: no such file: {self.tomograms}; expected a tomograms.star; check the path")
        series, images, unusable = self._series(listing, names)
        pixel = _common_pixel(self.tomograms, series)
        rows = [row for row, name in enumerate(names) if name not in unusable]
        writer = ImageStackWriter(
            folder=self.out,
            series=series,
            images=images,
            tomograms=[names[row] for row in rows],
            offsets=self._offsets(listing, series, rows),
            numbers=rows,
            box=self.box,
            binning=self.binning,
            invert=self.invert,
            background_radius=self.background_radius,
            premultiply=self.premultiply,
            float16=self.float16,
            skip_bad=self.skip_bad,
        )
        writer, outside = _divide(listing, writer)
        outside += [f"entry {k + 1} in {name}: {unusable[name]}" for k, name in enumerate(names) if name in unusable]
        most = max(len(one.sources) for one in writer.images.values())
        return Plan(
            writer=writer,
            write_list=_Listed(listing, self.tomograms, writer),
            outside=outside,
            listed=len(names),
            bytes_each=most * (2 if self.float16 else 4) * self.box**2,
            sources=len(series),
            figures={"box": self.box, "voxel_size_angstrom": pixel * self.binning},
        )

    def _series(
        self, listing: ParticleList, names: Sequence[str]
    ) -> tuple[dict[str, TiltSeries], dict[str, TiltImages], dict[str, str]]:
        """The series and their images, by the name of the tomogram, and what is wrong with the others."""
        folders = (Path(), *listing.folders)

        def look(some: set[str]) -> tuple[dict[str, TiltSeries], dict[str, TiltImages]]:
            series = read_tilt_series(self.tomograms, some, folders)
            return series, read_tilt_images(self.tomograms, series, folders)

        if not self.skip_bad:  # all in one go: the list of tomograms is read once
            series, images = look(set(names))
            return series, images, {}
        found, unusable = usable_sources(names, lambda name: look({name}), skip_bad=True)
        series = {name: one[name] for name, (one, _) in found.items()}
        return series, {name: one[name] for name, (_, one) in found.items()}, unusable

    def _offsets(
        self, listing: ParticleList, series: dict[str, TiltSeries], rows: Sequence[int]
    ) -> Float[Tensor, "particles 3"]:
        """Where some particles lie, angstrom from the centres of their tomograms."""
        name = relion.particle_block_name(listing.blocks)
        table = None if name is None else listing.blocks[name]
        tells = "rlnTomoTiltSeriesPixelSize" in relion.optics_table(listing.blocks).columns
        centred = isinstance(table, Loop) and all(key in table.columns for key in CENTRED)
        if isinstance(table, Loop) and (centred or (tells and listing.path.suffix == ".star")):
            found = offsets_from_centre(listing, table, series, rows)
            return torch.stack([found[row] for row in rows])
        if listing.positions is None:
            raise InputError(
                f"{listing.path}: gives no positions in tomograms; expected {', '.join(CENTRED)}, or x, y, z"
            )
        sizes = self._voxel_sizes(listing, tells)
        where = (listing.positions.double() - self.counted_from) * sizes[:, None]
        if listing.shifts is not None and listing.shift_unit == "angstrom":
            where = where + _shifts(listing, 1.0)
        elif listing.shifts is not None:
            where = where + _shifts(listing, None) * sizes[:, None]
        names = listing.tomograms or ()
        return where[list(rows)] - torch.stack([_middle(self.tomograms, series[names[row]]) for row in rows])

    def _voxel_sizes(self, listing: ParticleList, tells: bool) -> Float[Tensor, " particles"]:
        count = len(listing.names)
        if self.voxel_size_angstrom is not None:
            return torch.full((count,), float(self.voxel_size_angstrom), dtype=torch.float64)
        if not tells or listing.voxel_sizes is None:
            raise InputError(
                f"{listing.path}: does not tell what its positions count; give voxel_size_angstrom=, the angstrom "
                "per voxel of the tomogram in which they were picked"
            )
        return torch.tensor(listing.voxel_sizes, dtype=torch.float64)


def _shifts(listing: ParticleList, voxel_size: float | None) -> Float[Tensor, "particles 3"]:
    """Listed shifts in the frame of the tomogram, in voxels of that size; None for those of the list."""
    poses = listing.tomogram_poses(voxel_size)
    assert poses is not None
    return poses.shifts.double()


def _middle(path: Path, series: TiltSeries) -> Float[Tensor, "3"]:
    if series.size is None:
        raise InputError(
            f"{path}: expected rlnTomoSizeX, Y, Z of tomogram {series.name}, from whose corner positions count"
        )
    return series.size / 2 * series.pixel_size


def _common_pixel(path: Path, series: dict[str, TiltSeries]) -> float:
    sizes = {one.pixel_size for one in series.values()}
    if len(sizes) > 1:
        raise InputError(f"{path}: expected series of one pixel size, got {sorted(sizes)}; extract them one by one")
    return sizes.pop()


def _divide(listing: ParticleList, writer: ImageStackWriter) -> tuple[ImageStackWriter, list[str]]:
    """The writer of those that lie in at least one image, and a sentence for each other one."""
    seen = [any(writer.visible(row)) for row in range(len(writer.numbers))]
    edge = writer.box * writer.binning
    if not any(seen):
        low, high = writer.offsets.amin(0).tolist(), writer.offsets.amax(0).tolist()
        raise InputError(
            f"{listing.path}: not one box of {edge} pixels lies inside an image: positions run from {low} to {high} "
            "angstrom from the tomograms' centres; check box=, binning= and what positions count"
        )
    outside = [
        f"{writer.name(row)}: its box of {edge} pixels lies inside none of the images"
        for row, inside in enumerate(seen)
        if not inside
    ]
    rows = [row for row, inside in enumerate(seen) if inside]
    kept = replace(
        writer,
        numbers=[writer.numbers[row] for row in rows],
        offsets=writer.offsets[rows],
        tomograms=[writer.tomograms[row] for row in rows],
    )
    return kept, outside


@dataclass(frozen=True)
class _Listed:
    listing: ParticleList
    tomograms: Path
    writer: ImageStackWriter

    def __call__(self, out: Path, kept: Sequence[int], columns: Columns) -> tuple[str, ...]:
        return write_image_list(out, self.listing, self.tomograms, self.writer, kept, columns["visible"].tolist())
