"""RELION 5's coordinates: angstrom from the centre of the tomogram, for lists that count voxels from its corner.

``coordinate = position v - extent / 2`` with v the particle's voxel size, the inverse of what
`torchsag.io.tomogram_positions` reads. How large a tomogram is stands in RELION's ``tomograms.star``, or in the header
of the tomogram itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io import relion
from torchsag.io.particle_list import ParticleList
from torchsag.io.relion_document import texts
from torchsag.io.star import read_star
from torchsag.io.tilt_stacks import CENTRED
from torchsag.io.tomogram_files import tomogram_files
from torchsag.io.tomogram_positions import tomogram_extents, tomograms_beside
from torchsag.io.tomograms import is_warp
from torchsag.io.volumes import read_volume_header

_LOG = logging.getLogger(__name__)
_MARGIN = 0.05  # of the tomogram: picks at its rim


@dataclass(frozen=True, eq=False)
class Extents:
    """How large the tomogram of each particle is.

    Attributes
    ----------
    angstrom
        Size (x, y, z).
    told_by
        The ``tomograms.star`` that says so; None where the tomograms themselves do.
    series_pixel
        Of the tilt series, angstrom, where that is known and the same for all.
    """

    angstrom: Float[Tensor, "particles 3"]
    told_by: Path | None = None
    series_pixel: float | None = None


def set_centred(
    table: dict[str, list[str]], listing: ParticleList, sizes: list[float], tomograms: Path | None
) -> Extents | None:
    """Add centred coordinates and the tomograms' names to a table, where the sizes of the tomograms are known.

    Where the pixel size of the tilt series is known too, ``rlnCoordinateX``, ``Y``, ``Z`` count those pixels
    afterwards, as RELION 4 has it.

    Parameters
    ----------
    table
        The particles of `listing` as RELION's columns.
    listing
        The particles.
    sizes
        Angstrom per voxel of each.
    tomograms
        A ``tomograms.star``, a tomogram, or a folder of tomograms; None takes the ``tomograms.star`` that goes with the
        list, if there is one with sizes.

    Raises
    ------
    InputError
        If `tomograms` was given and cannot tell where the particles are.
    """
    if listing.positions is None or all(name in table for name in CENTRED):
        if tomograms is not None and listing.positions is None:
            raise InputError(f"tomograms: expected null, as {listing.path} gives no positions in tomograms")
        return None
    extents = _beside(listing, sizes) if tomograms is None else _told(listing, tomograms, sizes)
    if extents is None:
        return None
    places = _angstrom(listing, sizes)
    for name, values in zip(CENTRED, (places - extents.angstrom / 2).unbind(-1), strict=True):
        table[name] = texts(values, 4)
    if listing.tomograms is not None:
        table.setdefault("rlnTomoName", list(listing.tomograms))
    if extents.series_pixel is not None:
        for name, values in zip(relion.POSITIONS, (places / extents.series_pixel).unbind(-1), strict=True):
            table[name] = texts(values, 6)
    return extents


def _angstrom(listing: ParticleList, sizes: list[float]) -> Float[Tensor, "particles 3"]:
    assert listing.positions is not None
    return listing.positions.double() * torch.tensor(sizes, dtype=torch.float64)[:, None]


def _beside(listing: ParticleList, sizes: list[float]) -> Extents | None:
    """From the ``tomograms.star`` beside a list, which need not be that of its particles."""
    path = None if listing.tomograms is None else tomograms_beside(listing)
    if path is None:
        return None
    try:
        extents = _from_star(listing, path)
        if extents is not None:
            _check_inside(listing, sizes, extents, path)
    except InputError as error:
        _LOG.warning("%s; written without coordinates from the centre of the tomograms", error)
        return None
    return extents


def _told(listing: ParticleList, tomograms: Path, sizes: list[float]) -> Extents:
    if tomograms.suffix.lower() != ".star":
        extents = _from_headers(listing, tomograms)
    elif listing.tomograms is None:
        raise InputError(f"tomograms: expected a file or folder of tomograms, as {listing.path} names none")
    else:
        told = _from_star(listing, tomograms)
        if told is None:
            raise InputError(f"tomograms: expected rlnTomoName and rlnTomoSizeX, Y, Z in {tomograms}, got none")
        extents = told
    _check_inside(listing, sizes, extents, tomograms)
    return extents


def _from_star(listing: ParticleList, path: Path) -> Extents | None:
    found = tomogram_extents(listing, path)
    if found is None:
        return None
    angstrom, pixels = found
    warp = any(is_warp(path, block) for block in read_star(path).values())  # whose lists count the particles' voxels
    same = len(set(pixels.tolist())) == 1 and not warp
    return Extents(angstrom, path, float(pixels[0]) if same else None)


def _from_headers(listing: ParticleList, tomograms: Path) -> Extents:
    extents: dict[Path, list[float]] = {}
    files = tomogram_files(listing, tomograms, key="tomograms")
    for file in dict.fromkeys(files):
        header = read_volume_header(file)
        if header.voxel_size is None:
            raise InputError(f"{file}: expected a voxel size in the header, which its size in angstrom needs, got none")
        extents[file] = [count * header.voxel_size for count in reversed(header.shape)]
    return Extents(torch.tensor([extents[file] for file in files], dtype=torch.float64))


def _check_inside(listing: ParticleList, sizes: list[float], extents: Extents, tomograms: Path) -> None:
    """Positions outside their tomograms count something else than voxels of the particles' size."""
    places, extent = _angstrom(listing, sizes), extents.angstrom
    outside = ((places < -_MARGIN * extent) | (places > (1 + _MARGIN) * extent)).any(-1)
    if outside.any():
        row = int(outside.nonzero()[0])
        place, size = ([round(value) for value in values[row].tolist()] for values in (places, extent))
        raise InputError(
            f"{listing.path}: entry {row + 1}: expected a position within its tomogram of {size} angstrom, as "
            f"{tomograms} tells, got {place}, taking {sizes[row]:g} angstrom per voxel; give voxel_size_angstrom= of "
            "the voxels that positions count"
        )
