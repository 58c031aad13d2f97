"""Where RELION 5's particles lie: angstrom from the centre of their tomograms, whose sizes stand in another file.

``position = (coordinate / p + size / 2) p / v`` voxels of the particle, with p and the size those of the tilt series
and v the particle's voxel size (RELION 5.0.1, ``particle_set.cpp``, ``getParticleCoordDecenteredPixel``).
"""

from __future__ import annotations

import logging
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io import relion
from torchsag.io.particle_list import ParticleList
from torchsag.io.star import Block, Loop, read_star
from torchsag.io.tilt_stacks import find_tomograms

_LOG = logging.getLogger(__name__)
COLUMNS = ("rlnCenteredCoordinateXAngst", "rlnCenteredCoordinateYAngst", "rlnCenteredCoordinateZAngst")
_SIZES = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")
_PIXEL = "rlnTomoTiltSeriesPixelSize"


def with_positions(listing: ParticleList) -> ParticleList:
    """The same list with positions in voxels of its tomograms, where it lists centred coordinates and sizes are known.

    Raises
    ------
    InputError
        If a tomogram is missing from the file with the sizes, or a value is no number.
    """
    table = listing.blocks.get(relion.particle_block_name(listing.blocks) or "")
    if listing.positions is not None or not isinstance(table, Loop) or listing.voxel_sizes is None:
        return listing
    names = table.columns.get("rlnTomoName")
    if names is None or not all(name in table.columns for name in COLUMNS):
        return listing
    try:
        file = find_tomograms(listing)
    except InputError:  # which particles that are volumes can do without
        return listing
    sizes = next((block for block in read_star(file).values() if _has_sizes(block)), None)
    if not isinstance(sizes, Loop):
        _LOG.warning("%s: tells no sizes of tomograms, so that positions in %s stay unknown", file, listing.path)
        return listing
    place = {name: row for row, name in enumerate(sizes.columns["rlnTomoName"])}
    for row, name in enumerate(names, start=1):
        if name not in place:
            raise InputError(f"{listing.path}: entry {row}: tomogram {name} is not in {file}; add it")
    rows = torch.tensor([place[name] for name in names])
    extent = torch.stack([relion.numbers(file, sizes, name) for name in _SIZES], -1)[rows]
    series = _series_pixels(listing, sizes, rows)
    voxel = torch.tensor(listing.voxel_sizes, dtype=torch.float64)
    centred = torch.stack([relion.numbers(listing.path, table, name) for name in COLUMNS], -1)
    return replace(listing, positions=(centred + extent / 2 * series[:, None]) / voxel[:, None])


def _has_sizes(block: Block) -> bool:
    return isinstance(block, Loop) and {"rlnTomoName", *_SIZES} <= set(block.columns)


def _series_pixels(listing: ParticleList, sizes: Loop, rows: Tensor) -> Float[Tensor, " particles"]:
    """Pixel size of each particle's tilt series, angstrom: by tomogram, else by optics group."""
    if _PIXEL in sizes.columns:
        return relion.numbers(listing.path, sizes, _PIXEL)[rows]
    texts = relion.by_group(listing.path, listing.blocks, _PIXEL)
    if None in texts:
        raise InputError(f"{listing.path}: expected {_PIXEL} of the tomograms or the optics groups, got none")
    return relion.numbers(listing.path, Loop({_PIXEL: [text for text in texts if text is not None]}), _PIXEL)
