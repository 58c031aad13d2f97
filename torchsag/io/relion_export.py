"""Particle lists that RELION 3.1 reads as they are, whatever program's list they come from."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import torch

from torchsag.errors import InputError
from torchsag.io import relion
from torchsag.io.atomic import remove_remains
from torchsag.io.centred_coordinates import set_centred
from torchsag.io.ctf_images import COLUMN, CtfImages
from torchsag.io.particle_list import ParticleList, find_folder, parse_name
from torchsag.io.relion_document import (
    file_version,
    note_series,
    note_tomograms,
    relion_document,
    set_poses,
    texts,
)
from torchsag.io.star import Loop, write_star
from torchsag.io.volume_header import VolumeHeader
from torchsag.io.volumes import read_volume_header

_LOG = logging.getLogger(__name__)
_NAMES = ("rlnImageName", COLUMN, relion.WEIGHT)


def write_relion_list(
    target: Path,
    listing: ParticleList,
    voxel_size: float | None,
    project: Path | None = None,
    tomograms: Path | None = None,
) -> None:
    """Write a list for RELION: origins in angstrom, optics complete, CTF images, names from its project folder.

    Parameters
    ----------
    target
        The ``.star`` file. CTF images that are not there as RELION wants them go into ``NAME_weights`` beside it.
    listing
        The particles; names stay as they are where their volumes cannot be found.
    voxel_size
        Angstrom; None takes what the list says, or the first volume.
    project
        Where RELION will run; None is the folder of `target`.
    tomograms
        What tells the sizes of the tomograms, for RELION 5's coordinates; see `torchsag.io.centred_coordinates`.

    Raises
    ------
    InputError
        If no voxel size is known, or the file cannot be written.
    """
    if not listing.named:
        _write_positions(target, listing, voxel_size)
        return
    folder, header = _first_volume(listing)
    start = project or target.parent
    sizes = _voxel_sizes(target, listing, voxel_size, header)
    table = dict(relion.particle_table(listing.path, listing.blocks).columns)
    set_origins(table, listing, sizes)
    extents = set_centred(table, listing, sizes, tomograms)
    if folder is not None and header is not None:
        _set_ctf_images(table, listing, target, folder, header, sizes[0])
        for name in _NAMES:
            if name in table:
                table[name] = renamed(table[name], listing.path, folder, start)
        if header.shape[-1] % 2:
            _LOG.warning(
                "%s: the box of %d voxels is odd, which RELION 3.1 takes for damaged; crop the particles",
                target,
                header.shape[-1],
            )
        if not all(name.endswith((".mrc", ".mrcs")) for name in table["rlnImageName"]):
            _LOG.warning("%s: RELION reads volumes in MRC only; convert those that are not", target)
    box = None if header is None else header.shape[-1]
    one_size = sizes[0] if len(set(sizes)) == 1 else None  # optics groups of several sizes keep their own
    noted = listing.path.parent if folder is None else start
    document = relion_document(target, listing.blocks, table, noted, listing.weighting, one_size, box)
    if extents is not None:
        note_series(document, extents.series_pixel)
    note_tomograms(document, target, listing.tomograms_file or (None if extents is None else extents.told_by))
    write_star(target, document, file_version(table))


def _write_positions(target: Path, listing: ParticleList, voxel_size: float | None) -> None:
    """A list that names no volumes: what it says, in angstrom where the voxel size is known, and no more."""
    table = dict(relion.particle_table(listing.path, listing.blocks).columns)
    table.pop("rlnImageName", None)
    sizes = listing.voxel_sizes if voxel_size is None else [voxel_size] * len(listing.names)
    if sizes is None:
        name = relion.particle_block_name(listing.blocks)
        write_star(target, {**listing.blocks, str(name): Loop(table)})
        return
    set_origins(table, listing, list(sizes))
    one_size = sizes[0] if len(set(sizes)) == 1 else None
    document = relion_document(target, listing.blocks, table, None, listing.weighting, one_size)
    note_tomograms(document, target, listing.tomograms_file)
    write_star(target, document, file_version(table))


def _first_volume(listing: ParticleList) -> tuple[Path | None, VolumeHeader | None]:
    """The folder in which names start and the header of the first volume, where the volumes are there."""
    try:
        folder = find_folder(listing)
        return folder, read_volume_header(folder / parse_name(listing.names[0], listing.path).path)
    except InputError:
        return None, None


def _voxel_sizes(target: Path, listing: ParticleList, given: float | None, header: VolumeHeader | None) -> list[float]:
    """Angstrom per voxel of each particle."""
    if given is None and listing.voxel_sizes is not None:
        return list(listing.voxel_sizes)
    size = given if given is not None or header is None else header.voxel_size
    if size is None:
        raise InputError(
            f"{target}: RELION needs the voxel size of the particles, and {listing.path} does not give it; give "
            "voxel_size_angstrom=..."
        )
    return [size] * len(listing.names)


def set_origins(table: dict[str, list[str]], listing: ParticleList, sizes: list[float]) -> None:
    """Origins in angstrom and angles, unless the list has them already."""
    if all(name in table for name in relion.ORIGINS_ANGSTROM) and relion.ORIGINS_PIXEL[0] not in table:
        return
    poses = replace(listing, voxel_sizes=sizes).poses(None)
    if poses is None:
        return
    angles = {name: table[name] for name in relion.ANGLES if name in table}
    set_poses(table, poses, 1.0)
    origins = -poses.shifts * torch.tensor(sizes, dtype=torch.float64)[:, None]
    for name, values in zip(relion.ORIGINS_ANGSTROM, origins.unbind(-1), strict=True):
        table[name] = texts(values, 6)
    table.update(angles)  # word for word


def _set_ctf_images(
    table: dict[str, list[str]],
    listing: ParticleList,
    target: Path,
    folder: Path,
    header: VolumeHeader,
    voxel_size: float,
) -> None:
    if COLUMN in table or header.count == 0:
        return
    listed = table.get(relion.WEIGHT)
    sources: list[object] = list(listing.tilt_ranges or [None] * len(listing.names))
    for row, name in enumerate(listing.weight_names or ()):
        if name is not None:
            parsed = parse_name(name, listing.path)
            sources[row] = replace(parsed, path=folder / parsed.path)
    if not any(sources):
        _LOG.warning("%s: no tilt range or weight is known, RELION will take all directions as measured", target)
        return
    beside = target.with_name(f"{target.stem}_weights")
    remove_remains(beside)
    images = CtfImages(beside, folder, header.shape, voxel_size, listing.weighting)
    names = images.names(sources, listed)
    if names is None:
        _LOG.warning(
            "%s: written without rlnCtfImage: weights that are inverse noise variances, or missing for some particles, "
            "have no place in RELION",
            target,
        )
        return
    table[COLUMN] = names


def renamed(names: list[str], path: Path, folder: Path, start: Path) -> list[str]:
    """Names that start in `folder`, as seen from `start`; word for word where these are the same."""
    if folder.resolve() == start.resolve():
        return names
    ways: dict[Path, Path] = {}  # of few folders with many files
    renamed: list[str] = []
    for name in names:
        number, at, _ = name.rpartition("@")
        file = parse_name(name, path).path
        if name in ("None", "") or file.is_absolute():
            renamed.append(name)
            continue
        if file.parent not in ways:
            ways[file.parent] = Path(os.path.relpath((folder / file.parent).resolve(), start.resolve()))
        renamed.append(f"{number}{at}{(ways[file.parent] / file.name).as_posix()}")
    return renamed
