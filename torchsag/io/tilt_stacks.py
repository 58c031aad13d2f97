"""Particles of RELION 5 and WarpTools that are stored as tilt images: which they are, and what their images mean."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io import relion
from torchsag.io.particle_list import ParticleList, parse_name
from torchsag.io.star import Block, Loop, read_star
from torchsag.io.tomograms import TiltSeries, read_tilt_series
from torchsag.io.volume_header import VolumeHeader
from torchsag.particles import TiltStack, VolumeSource

_LOG = logging.getLogger(__name__)
VISIBLE = "rlnTomoVisibleFrames"
CENTRED = ("rlnCenteredCoordinateXAngst", "rlnCenteredCoordinateYAngst", "rlnCenteredCoordinateZAngst")


def stack_rows(listing: ParticleList, headers: Sequence[VolumeHeader], sources: Sequence[VolumeSource]) -> list[int]:
    """The particles whose files hold tilt images.

    The files decide where the list's own flags (``rlnImageDimensionality`` of the optics group, else
    ``rlnTomoSubTomosAre2DStacks``) are wrong: as many sections as the list has images, or as it has visible ones, are
    images unless they make a cube and no flag says so; a cube of any other size is a volume.
    """
    flags = listing.flat if listing.flat is not None else [False] * len(headers)
    visible = _visible(listing)
    rows: list[int] = []
    wrong = 0
    for row, (header, source, flag) in enumerate(zip(headers, sources, flags, strict=True)):
        if source.index is not None:  # a volume of a stack of volumes
            continue
        flat = _is_flat(header, flag, visible[row])
        wrong += flat is not flag
        if flat:
            rows.append(row)
    if wrong and listing.flat is not None:
        _LOG.warning("%s: the flags for 2D and 3D are wrong for %d particles; their files decide", listing.path, wrong)
    return rows


def _is_flat(header: VolumeHeader, flag: bool, visible: list[bool] | None) -> bool:
    rows, columns = header.shape[1:]
    if rows != columns:
        return False
    cube = header.images == rows
    counts = set() if visible is None else {len(visible), sum(visible)}
    if header.images in counts:
        return flag or not cube
    return flag and not cube


def tilt_stacks(
    listing: ParticleList, folder: Path, rows: Sequence[int], headers: Sequence[VolumeHeader]
) -> dict[int, TiltStack]:
    """What is known of the images of the particles in `rows`.

    Raises
    ------
    InputError
        If the tomograms are not found, or what list, tomograms and files say does not fit together.
    """
    if not rows:
        return {}
    path, table = listing.path, relion.particle_table(listing.path, listing.blocks)
    if listing.tomograms is None:
        raise InputError(f"{path}: expected a column rlnTomoName, which tilt images need, got none")
    series = read_tilt_series(
        find_tomograms(listing), {listing.tomograms[row] for row in rows}, (folder, *listing.folders)
    )
    visible = _visible(listing)
    premultiplied = relion.by_group(path, listing.blocks, "rlnCtfDataAreCtfPremultiplied")
    offsets = offsets_from_centre(listing, table, series, rows)
    stacks: dict[int, TiltStack] = {}
    for row in rows:
        tilts = series[listing.tomograms[row]]
        used, sections = _used(listing, row, visible[row], headers[row], len(tilts.frames))
        frames = tilts.frames if listing.box_frames is None else tilts.frames @ listing.box_frames[row]
        voxel_size = None if listing.voxel_sizes is None else listing.voxel_sizes[row]
        stacks[row] = TiltStack(
            folder / parse_name(listing.names[row]).path,
            sections,
            frames[used].float(),
            tilts.optics_at(offsets[row])[used],
            premultiplied[row] == "1",
            float(voxel_size or headers[row].voxel_size or 0.0),
        )
    return stacks


def find_tomograms(listing: ParticleList) -> Path:
    """The ``tomograms.star`` that goes with a list.

    Named by the optimisation set through which the list was found, noted by torchsag in lists that it writes, or named
    by an optimisation set beside the list; else ``tomograms.star`` or WarpTools' ``NAME_tomograms.star`` beside it.

    Raises
    ------
    InputError
        If there is none.
    """
    path = listing.path
    if listing.tomograms_file is not None:
        return listing.tomograms_file
    for beside in sorted(path.parent.glob("*optimisation_set.star")):
        named = relion.optimisation_set(beside, read_star(beside))
        if named is not None and named.tomograms is not None and named.particles.resolve() == path.resolve():
            return named.tomograms
    for name in ("tomograms.star", f"{path.stem}_tomograms.star"):
        if (path.parent / name).is_file():
            return path.parent / name
    raise InputError(
        f"{path}: its particles are tilt images, which need a tomograms.star, and none was found beside it; give the "
        "optimisation set that names both in place of the particle list"
    )


def _visible(listing: ParticleList) -> list[list[bool] | None]:
    table = _table(listing.blocks)
    texts = None if table is None else table.columns.get(VISIBLE)
    if texts is None:
        return [None] * len(listing.names)
    known: dict[str, list[bool]] = {}
    for row, text in enumerate(texts, 1):
        if text not in known:
            try:
                known[text] = [bool(int(flag)) for flag in json.loads(text)]
            except (ValueError, TypeError, OverflowError):
                raise InputError(
                    f"{listing.path}: entry {row}: expected {VISIBLE} like [1,0,1], got {text[:40]!r}"
                ) from None
    return [known[text] for text in texts]


def _table(blocks: dict[str, Block]) -> Loop | None:
    name = relion.particle_block_name(blocks)
    table = None if name is None else blocks[name]
    return table if isinstance(table, Loop) else None


def _used(
    listing: ParticleList, row: int, visible: list[bool] | None, header: VolumeHeader, total: int
) -> tuple[list[int], tuple[int, ...]]:
    """Which images of the tilt series are used, and which sections of the file those are.

    RELION's files hold the visible images only, WarpTools' held all of them until 2026.
    """
    visible = [True] * total if visible is None else visible
    used = [tilt for tilt, seen in enumerate(visible) if seen]
    where = f"{listing.path}: particle {listing.names[row]}"
    if len(visible) != total:
        raise InputError(f"{where}: expected {VISIBLE} of {total} images, as in the tomogram, got {len(visible)}")
    if not used:
        raise InputError(f"{where}: expected at least one visible image, got none; take it out of the list")
    if header.images == total:
        return used, tuple(used)
    if header.images == len(used):
        return used, tuple(range(len(used)))
    raise InputError(f"{where}: expected {len(used)} visible or all {total} images in the file, got {header.images}")


def offsets_from_centre(
    listing: ParticleList, table: Loop, series: dict[str, TiltSeries], rows: Sequence[int]
) -> dict[int, Float[Tensor, "3"]]:
    """Where particles lie relative to their tomograms' centres, angstrom.

    Raises
    ------
    InputError
        If the list gives no coordinates, or they count from the corner of a tomogram of unknown size.
    """
    path = listing.path
    shifts = torch.zeros(len(listing.names), 3, dtype=torch.float64)
    if listing.shifts is not None and listing.shift_unit == "angstrom":
        frames = torch.eye(3, dtype=torch.float64) if listing.box_frames is None else listing.box_frames
        shifts = (frames @ listing.shifts[..., None])[..., 0]
    if all(key in table.columns for key in CENTRED):
        centred = torch.stack([relion.numbers(path, table, key) for key in CENTRED], -1)
        return {row: centred[row] + shifts[row] for row in rows}
    if not all(key in table.columns for key in relion.POSITIONS):
        raise InputError(
            f"{path}: expected columns {', '.join(CENTRED)}, which the defocus of tilt images needs, got none"
        )
    coordinates = torch.stack([relion.numbers(path, table, key) for key in relion.POSITIONS], -1)
    offsets = {}
    for row in rows:
        assert listing.tomograms is not None
        tilts = series[listing.tomograms[row]]
        if tilts.size is None:
            raise InputError(
                f"{path}: expected rlnTomoSizeX, Y, Z of tomogram {tilts.name}, which coordinates from its corner need"
            )
        pixel = tilts.pixel_size
        if tilts.counts_particle_pixels and listing.voxel_sizes is not None:
            pixel = listing.voxel_sizes[row]
        offsets[row] = coordinates[row] * pixel - tilts.size / 2 * tilts.pixel_size + shifts[row]
    return offsets
