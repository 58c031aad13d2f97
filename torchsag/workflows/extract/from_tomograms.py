"""Volumes out of tomograms: which box each entry is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io.particle_list import ParticleList
from torchsag.io.tomogram_files import tomogram_file_of
from torchsag.io.volumes import map_volume
from torchsag.particles import TiltRange
from torchsag.runs.checkpoint import Columns
from torchsag.workflows.extract.extracted_list import write_extracted
from torchsag.workflows.extract.plan import Plan
from torchsag.workflows.extract.scale import common_voxel_size
from torchsag.workflows.extract.sites import Sites, find_sites
from torchsag.workflows.extract.subvolumes import SubvolumeWriter, fits, site_name
from torchsag.workflows.extract.usable_sources import usable_sources


@dataclass(frozen=True)
class FromTomograms:
    """Settings of `torchsag.workflows.extract.command.Extract` that concern tomograms."""

    out: Path
    tomogram: Path | None
    box: int
    binning: int
    rescale: float | None
    counted_from: float
    voxel_size_angstrom: float | None
    tilt_range: TiltRange | None
    invert: bool
    background_radius: float
    pad: bool
    float16: bool
    skip_bad: bool

    def plan(self, listing: ParticleList) -> Plan:
        """Where to cut.

        Raises
        ------
        InputError
            If the list says nothing of tilts or positions, a tomogram is missing or damaged (with `skip_bad` all), or
        no box lies inside its tomogram.
        """
        listing = self._with_tilts(listing)
        files, shapes, unusable = self._tomograms(listing)
        voxel_size = common_voxel_size(list(shapes), self.voxel_size_angstrom)
        names = listing.tomograms or [""] * len(listing.names)
        any_shape = next(iter(shapes.values()))  # stands for those that cannot be read, which are set aside
        sizes = [shapes.get(files[name], any_shape) for name in names]
        sites = find_sites(listing, sizes, voxel_size, self.rescale, self.counted_from)
        rows, outside = self._divide(listing, [files[name] for name in names], sizes, sites, unusable)
        writer = self._writer([files[name] for name in names], sites, rows, voxel_size)
        figures: dict[str, float | int] = {"box": self.box, "voxel_size_angstrom": writer.voxel_size}
        figures["background_radius_voxels"] = self.background_radius
        return Plan(
            writer=writer,
            write_list=_Listed(listing, sites, writer),
            outside=outside,
            listed=len(names),
            bytes_each=(2 if self.float16 else 4) * self.box**3,
            sources=len(set(writer.tomograms)),
            figures=figures,
        )

    def _tomograms(
        self, listing: ParticleList
    ) -> tuple[dict[str, Path], dict[Path, tuple[int, int, int]], dict[str, str]]:
        """The file of each tomogram by name, the size of each that can be read, and what is wrong with the others."""
        of_name = tomogram_file_of(listing, self.tomogram)

        def look(name: str) -> tuple[Path, tuple[int, int, int]]:
            file = of_name(name)
            return file, map_volume(file).shape

        found, unusable = usable_sources(listing.tomograms or [""] * len(listing.names), look, self.skip_bad)
        files = {name: file for name, (file, _) in found.items()} | {name: Path(name) for name in unusable}
        return files, dict(found.values()), unusable

    def _with_tilts(self, listing: ParticleList) -> ParticleList:
        """The list with a tilt range for every particle."""
        ranges = [one or self.tilt_range for one in listing.tilt_ranges or [None] * len(listing.names)]
        if None in ranges:
            raise InputError(
                f"{listing.path}: entry {ranges.index(None) + 1}: says nothing about the tilts; give tilt_min_deg= and "
                "tilt_max_deg=, -90 and 90 if nothing is missing"
            )
        return replace(listing, tilt_ranges=ranges)

    def _divide(
        self,
        listing: ParticleList,
        files: list[Path],
        shapes: list[tuple[int, int, int]],
        sites: Sites,
        unusable: dict[str, str],
    ) -> tuple[list[int], list[str]]:
        """Entries whose boxes lie inside of their tomograms, and a sentence for each other one."""
        bad = [unusable.get(name, "") for name in listing.tomograms or [""] * len(files)]
        edge = self.box * self.binning
        centres = [_triple(centre) for centre in sites.centres.tolist()]
        inside = [
            not fault and fits(shape, centre, edge, self.pad)
            for shape, centre, fault in zip(shapes, centres, bad, strict=True)
        ]
        if not any(inside):
            low, high = sites.centres.amin(0).tolist(), sites.centres.amax(0).tolist()
            raise InputError(
                f"{listing.path}: not one box of {edge} voxels lies inside its tomogram: box centres run from {low} to "
                f"{high} (x, y, z), {files[0]} has {list(shapes[0][::-1])} voxels; check tomogram=, rescale= and box="
            )
        outside = [
            f"{site_name(row, centres[row], files[row])}: "
            + (bad[row] or f"its box of {edge} voxels reaches over the border")
            for row, good in enumerate(inside)
            if not good
        ]
        return [row for row, good in enumerate(inside) if good], outside

    def _writer(self, files: list[Path], sites: Sites, rows: list[int], voxel_size: float) -> SubvolumeWriter:
        return SubvolumeWriter(
            folder=self.out,
            tomograms=[files[row] for row in rows],
            centres=[_triple(centre) for centre in sites.centres[rows].tolist()],
            numbers=rows,
            box=self.box,
            binning=self.binning,
            voxel_size=voxel_size * self.binning,
            invert=self.invert,
            background_radius=self.background_radius,
            pad=self.pad,
            float16=self.float16,
            skip_bad=self.skip_bad,
        )


@dataclass(frozen=True)
class _Listed:
    listing: ParticleList
    sites: Sites
    writer: SubvolumeWriter

    def __call__(self, out: Path, kept: Sequence[int], columns: Columns) -> tuple[str, ...]:
        rows = [self.writer.numbers[row] for row in kept]
        write_extracted(out / "particles.star", self.listing, self.sites, rows, self.writer)
        return ("particles.star",)


def _triple(centre: list[int]) -> tuple[int, int, int]:
    x, y, z = centre
    return x, y, z
