"""One door to particles on disk, whatever lists them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torchsag.axes import Box
from torchsag.errors import InputError
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ListOrigin, ParticleList, find_folder, parse_name
from torchsag.io.tilt_stacks import find_tomograms, stack_rows, tilt_stacks
from torchsag.io.volume_header import VolumeHeader
from torchsag.io.volumes import read_volume, read_volume_header
from torchsag.particles import (
    DensitySource,
    ParticleSet,
    TiltRange,
    TiltStack,
    VolumeSource,
    Weighting,
    WeightSource,
)

_LOG = logging.getLogger(__name__)


def read_particles(
    source: Path | str,
    *,
    voxel_size_angstrom: float | int | None = None,
    tilt_min_deg: float | int | None = None,
    tilt_max_deg: float | int | None = None,
    weighting: Weighting | None = None,
) -> ParticleSet:
    """Describe the particles of a list, a folder, a glob or a stack, and check all headers before anything runs.

    Parameters
    ----------
    source
        A ``.star`` (RELION 3.0 to 5, STOPGAP), a ``.csv``, another program's list (Dynamo ``.tbl``, AV3 ``.em``,
        PyTom ``.xml``), a folder that holds ``particles.star``, ``particles.csv`` or just volumes, a glob of volumes,
        or a stack of volumes.
    voxel_size_angstrom
        Used in place of what the list and the volumes say.
    tilt_min_deg, tilt_max_deg
        Tilt range of particles for which the list gives neither a weight volume nor a tilt range.
    weighting
        What weight volumes mean; by default `Corrected` for a csv, and for a STAR file `Premultiplied` where its
        optics say that the data are CTF-premultiplied, else `Transfer`.

    Raises
    ------
    InputError
        For anything that can be seen without reading voxels: missing, damaged or truncated files, an empty list,
        duplicates, unequal boxes or voxel sizes, an unknown column. NaN and empty volumes are found by
        `ParticleSet.load`.
    """
    fallback = _tilt_range(tilt_min_deg, tilt_max_deg)
    if voxel_size_angstrom is not None and not 0 < voxel_size_angstrom < float("inf"):
        raise InputError(f"voxel_size_angstrom: expected a value above 0, got {voxel_size_angstrom}")
    listing = read_list(source)
    folder = find_folder(listing)
    named = _sources(listing, folder)
    headers = _headers(listing, named)
    stacks = tilt_stacks(listing, folder, stack_rows(listing, headers, named), headers)
    box = _check_boxes(listing, named, headers, stacks)
    voxel_size = float(voxel_size_angstrom or _voxel_size(listing, headers))
    sources: list[DensitySource] = [stacks.get(row, source) for row, source in enumerate(named)]
    weights = _weights(listing, folder, box, fallback, stacks)
    return ParticleSet(
        names=tuple(listing.names),
        box=box,
        voxel_size=voxel_size,
        volumes=tuple(sources),
        weights=tuple(weights),
        weighting=weighting or listing.weighting,
        reader=read_volume,
        poses=listing.poses(voxel_size),
        box_frames=listing.box_frames,
        halves=listing.halves,
        classes=listing.classes,
        tomograms=None if listing.tomograms is None else tuple(listing.tomograms),
        origin=ListOrigin(folder, listing.blocks, find_tomograms(listing) if stacks else None),
    )


def _tilt_range(tilt_min_deg: float | int | None, tilt_max_deg: float | int | None) -> TiltRange | None:
    if tilt_min_deg is None and tilt_max_deg is None:
        return None
    if tilt_min_deg is None or tilt_max_deg is None:
        raise InputError(
            f"tilt range: expected both tilt_min_deg and tilt_max_deg, got {tilt_min_deg} and {tilt_max_deg}"
        )
    return TiltRange(float(tilt_min_deg), float(tilt_max_deg))


def _sources(listing: ParticleList, folder: Path) -> list[VolumeSource]:
    sources: list[VolumeSource] = []
    first_row: dict[VolumeSource, int] = {}
    for row, name in enumerate(listing.names):
        parsed = parse_name(name, listing.path)
        resolved = VolumeSource(folder / parsed.path, parsed.index)
        if resolved in first_row:
            raise InputError(
                f"{listing.path}: particle {name} stands twice in the list (entries {first_row[resolved] + 1} and "
                f"{row + 1}); remove one"
            )
        first_row[resolved] = row
        sources.append(resolved)
    return sources


def _headers(listing: ParticleList, sources: Sequence[VolumeSource]) -> list[VolumeHeader]:
    """One header per particle; a file's header is read once."""
    known: dict[Path, VolumeHeader] = {}
    for name, source in zip(listing.names, sources, strict=True):
        if source.path not in known:
            known[source.path] = _header_of(listing, name, source.path)
    return [known[source.path] for source in sources]


def _check_boxes(
    listing: ParticleList,
    sources: Sequence[VolumeSource],
    headers: Sequence[VolumeHeader],
    stacks: Mapping[int, TiltStack],
) -> Box:
    """The one box of all particles."""
    boxes: list[Box] = []
    for row, (name, source, header) in enumerate(zip(listing.names, sources, headers, strict=True)):
        if row in stacks:
            edge = header.shape[-1]
            boxes.append((edge, edge, edge))
            continue
        if (source.index or 0) >= header.count or (source.index is None and header.count > 1):
            raise InputError(
                f"{listing.path}: particle {name}: the file holds {header.count} volumes; "
                "name one of them as in 000001@stack.mrcs"
            )
        boxes.append(header.shape)
    box = boxes[0]
    if len(set(box)) > 1:
        raise InputError(
            f"particle {listing.names[0]}: expected a cubic box, got {box} voxels (z, y, x); crop or pad it to a cube"
        )
    for name, its in zip(listing.names, boxes, strict=True):
        if its != box:
            raise InputError(
                f"particle {name}: expected a box of {box} voxels (z, y, x) like particle {listing.names[0]}, "
                f"got {its}; extract all particles with one box size"
            )
    return box


def _header_of(listing: ParticleList, name: str, path: Path) -> VolumeHeader:
    try:
        return read_volume_header(path)
    except InputError as error:
        raise InputError(f"{listing.path}: particle {name}: {error}") from None


def _voxel_size(listing: ParticleList, headers: Sequence[VolumeHeader]) -> float:
    """The one voxel size of list and volumes: what the list says, else what the headers say."""
    from_headers = [header.voxel_size for header in headers]
    said = listing.voxel_sizes if listing.voxel_sizes is not None else from_headers
    for name, size in zip(listing.names, said, strict=True):
        if size is None or not 0 < size < float("inf"):
            raise InputError(
                f"particle {name}: neither the list nor the volume's header gives one voxel size; "
                "give voxel_size_angstrom=..."
            )
    sizes = [float(size) for size in said if size is not None]
    for name, size in zip(listing.names, sizes, strict=True):
        if abs(size - sizes[0]) > 1e-3 * sizes[0]:
            raise InputError(
                f"particle {name}: expected a voxel size of {sizes[0]:g} angstrom like particle {listing.names[0]}, "
                f"got {size:g}; bring all particles to one scale, or give voxel_size_angstrom=..."
            )
    if listing.voxel_sizes is None and sizes[0] == 1:
        _LOG.warning("the volumes say 1 angstrom per voxel, which many programs write when they do not know")
    if listing.voxel_sizes is not None:
        _compare_with_headers(listing, sizes[0], headers)
    return sizes[0]


def _compare_with_headers(listing: ParticleList, size: float, headers: Sequence[VolumeHeader]) -> None:
    for name, header in zip(listing.names, headers, strict=True):
        # A header that says exactly 0 or 1 says nothing.
        if any(along not in (0, 1) and not abs(along - size) <= 2e-2 * size for along in header.voxel_sizes):
            along = ", ".join(f"{one:g}" for one in header.voxel_sizes)
            said = f"{header.voxel_size:g}" if header.voxel_size else f"{along} along x, y, z"
            raise InputError(
                f"particle {name}: {listing.path} says {size:g} angstrom per voxel, the volume's header {said}; "
                "give voxel_size_angstrom=... to decide"
            )


def _weights(
    listing: ParticleList,
    folder: Path,
    box: Box,
    fallback: TiltRange | None,
    stacks: Mapping[int, TiltStack],
) -> list[WeightSource]:
    count = len(listing.names)
    files = listing.weight_names if listing.weight_names is not None else [None] * count
    ranges = listing.tilt_ranges if listing.tilt_ranges is not None else [None] * count
    weights: list[WeightSource] = []
    known: dict[str, VolumeSource] = {}
    half = (box[0], box[1], box[2] // 2 + 1)
    for row, (name, file, tilt_range) in enumerate(zip(listing.names, files, ranges, strict=True)):
        if row in stacks:
            weights.append(stacks[row])
            continue
        if file is None:
            weights.append(tilt_range or fallback)
            continue
        if file not in known:
            parsed = parse_name(file, listing.path)
            known[file] = VolumeSource(folder / parsed.path, parsed.index)
            shape = _header_of(listing, name, known[file].path).shape
            if shape not in (box, half):
                raise InputError(
                    f"particle {name}: expected a weight of {box} voxels (or {half}, half-spectrum), "
                    f"got {shape} in {file}"
                )
        weights.append(known[file])
    if None in weights:
        _LOG.warning(
            "%d of %d particles come without weight volume and tilt range: taken as measured in all directions; "
            "give tilt_min_deg=... tilt_max_deg=... if there is a missing wedge",
            weights.count(None),
            count,
        )
    return weights
