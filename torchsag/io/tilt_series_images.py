"""The images of tilt series themselves: which file holds each, and where the tomogram's centre appears in it.

RELION 5 puts the centre at the middle of the image, N / 2 pixels from the first one, plus ``rlnTomoXShiftAngst`` and
``rlnTomoYShiftAngst``; RELION 4's matrices take pixels from the tomogram's corner to pixels from the image's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.star import Loop
from torchsag.io.tomograms import SIZES, TiltSeries, TiltTable, column, is_warp, tilt_tables, vector
from torchsag.io.volumes import read_volume_header
from torchsag.particles import VolumeSource

_SHIFTS = ("rlnTomoXShiftAngst", "rlnTomoYShiftAngst")


@dataclass(frozen=True, eq=False)
class TiltImages:
    """One tomogram's images on disk.

    Attributes
    ----------
    sources
        The file of each image; an index is the section, from zero.
    size
        Of every image, (x, y), pixels.
    centres
        Where the tomogram's centre appears in each image, (x, y), pixels from the middle of the first.
    """

    sources: tuple[VolumeSource, ...]
    size: tuple[int, int]
    centres: Float[Tensor, "tilts 2"]


def read_tilt_images(path: Path, series: dict[str, TiltSeries], folders: tuple[Path, ...]) -> dict[str, TiltImages]:
    """The images of tilt series.

    Parameters
    ----------
    path
        The ``tomograms.star`` that the series were read from.
    series
        By name.
    folders
        Where names of files may start.

    Raises
    ------
    InputError
        If a file is missing, or images of one series differ in size.
    """
    found: dict[str, TiltImages] = {}
    for table in tilt_tables(path, set(series), folders):
        if is_warp(table.path, table.images):
            raise InputError(
                f"{table.path}: says nothing of the images of tomogram {table.name}, as WarpTools keeps them "
                "elsewhere; export tilt stacks with WarpTools ts_export_particles --2d"
            )
        sources = _sources(table, (*folders, path.parent, table.path.parent))
        size = _size(table, sources)
        found[table.name] = TiltImages(sources, size, _centres(table, series[table.name], size))
    return found


def _sources(table: TiltTable, folders: Sequence[Path]) -> tuple[VolumeSource, ...]:
    names = table.images.columns.get("rlnMicrographName")
    if names is None and "rlnTomoTiltSeriesName" in table.said:  # RELION 4: one stack, its images in their order
        stack = table.said["rlnTomoTiltSeriesName"].removesuffix(":mrc")
        names = [f"{k}@{stack}" for k in range(1, len(table.images) + 1)]
    if names is None:
        raise InputError(f"{table.path}: expected a column rlnMicrographName with the file of each image, got none")
    places: dict[str, Path] = {}
    sources: list[VolumeSource] = []
    for row, name in enumerate(names, start=1):
        match = re.fullmatch(r"(?:0*([1-9]\d{0,8})@)?(.+)", name, re.ASCII)
        if match is None:
            raise InputError(f"{table.path}: image {row}: expected a name like 3@series.mrcs, got {name[:60]!r}")
        file = match[2]
        if file not in places:
            there = [folder / file for folder in folders if (folder / file).is_file()]
            if not there:
                raise InputError(f"{table.path}: image {row}: no such file: {file}; check the path")
            places[file] = there[0]
        sources.append(VolumeSource(places[file], None if match[1] is None else int(match[1]) - 1))
    return tuple(sources)


def _size(table: TiltTable, sources: tuple[VolumeSource, ...]) -> tuple[int, int]:
    headers = {source.path: read_volume_header(source.path) for source in sources}
    sizes = {(header.shape[2], header.shape[1]) for header in headers.values()}
    if len(sizes) > 1:
        raise InputError(f"{table.path}: expected images of one size, got {sorted(sizes)} (x, y)")
    for row, source in enumerate(sources, start=1):
        sections = headers[source.path].images or headers[source.path].shape[0]
        if (source.index or 0) >= sections:
            raise InputError(
                f"{table.path}: image {row}: expected section {(source.index or 0) + 1} in {source.path}, which has "
                f"{sections}"
            )
    return sizes.pop()


def _centres(table: TiltTable, series: TiltSeries, size: tuple[int, int]) -> Float[Tensor, "tilts 2"]:
    if "rlnTomoProjX" in table.images.columns:
        return _projected_centres(table.path, table.images, series)
    shifts = torch.stack([column(table.path, table.images, key, 0.0) for key in _SHIFTS], -1)
    return torch.tensor(size, dtype=torch.float64) / 2 + shifts / series.pixel_size


def _projected_centres(path: Path, images: Loop, series: TiltSeries) -> Float[Tensor, "tilts 2"]:
    if series.size is None:
        raise InputError(f"{path}: expected {', '.join(SIZES)} of tomogram {series.name}, which its matrices need")
    rows = [[vector(path, key, text) for text in images.columns[key]] for key in ("rlnTomoProjX", "rlnTomoProjY")]
    matrices = torch.tensor(rows, dtype=torch.float64).movedim(0, 1)
    return matrices[..., :3] @ (series.size / 2) + matrices[..., 3]
