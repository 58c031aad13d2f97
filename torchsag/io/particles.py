"""One door to particles on disk, whatever lists them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torchsag.axes import Box
from torchsag.errors import InputError
from torchsag.io import relion
from torchsag.io.list_selection import places
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ListOrigin, ParticleList, find_folder, parse_name
from torchsag.io.paths import as_path
from torchsag.io.tilt_stacks import find_tomograms, stack_rows, tilt_stacks
from torchsag.io.volume_header import VolumeHeader
from torchsag.io.volumes import read_volume, read_volume_header
from torchsag.particles import (
    DensitySource,
    ParticleSet,
    Sampling,
    TiltRange,
    TiltStack,
    VolumeSource,
    Weighting,
    WeightSource,
    WeightVolume,
    usual_sampling,
)

_LOG = logging.getLogger(__name__)


def read_particles(
    source: Path | str,
    *,
    voxel_size_angstrom: float | int | None = None,
    tilt_min_deg: float | int | None = None,
    tilt_max_deg: float | int | None = None,
    weighting: Weighting | None = None,
    skip_bad: bool = False,
    volumes: Path | str | None = None,
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
    skip_bad
        Whether particles whose files are missing or damaged stay in the set all the same, for `ParticleSet.load` to
        name and its caller to set aside.
    volumes
        The folder in which the volumes of a list are, where it cannot be found out: names start there, and lists that
        know particles by number (Dynamo, AV3, STOPGAP) have them there.

    Raises
    ------
    InputError
        For anything that can be seen without reading voxels: missing, damaged or truncated files, an empty list,
        duplicates, unequal boxes or voxel sizes, an unknown column. NaN and empty volumes are found by
        `ParticleSet.load`.
    """
    as_path("source", source)
    fallback = _tilt_range(tilt_min_deg, tilt_max_deg)
    if voxel_size_angstrom is not None and not 0 < voxel_size_angstrom < float("inf"):
        raise InputError(f"voxel_size_angstrom: expected a value above 0, got {voxel_size_angstrom}")
    listing = read_list(source, volumes)
    folder = find_folder(listing, any_volume=skip_bad)
    named = _sources(listing, folder)
    headers = _usable_headers(listing, named) if skip_bad else _headers(listing, named)
    stacks = tilt_stacks(listing, folder, stack_rows(listing, headers, named), headers)
    boxes = _check_boxes(listing, named, headers, stacks)
    given = None if voxel_size_angstrom is None else float(voxel_size_angstrom)
    sizes = _voxel_sizes(listing, headers, given)
    samplings = [Sampling(box, size) for box, size in zip(boxes, sizes, strict=True)]
    _check_kinds(listing, samplings)
    run = usual_sampling(samplings)
    if any(sampling != run for sampling in samplings):
        _LOG.warning(
            "%s: particles of %d boxes and voxel sizes; all are brought to %d voxels of %g angstrom",
            listing.path,
            len(set(samplings)),
            run.box[0],
            run.voxel_size,
        )
    box, voxel_size = run.box, run.voxel_size
    sources: list[DensitySource] = [stacks.get(row, source) for row, source in enumerate(named)]
    meanings = listing.weightings if weighting is None else None
    weights = _weights(listing, folder, boxes, fallback, stacks, meanings, skip_bad)
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
        places=None if listing.positions is None else places(listing, sizes),
        samplings=None if all(sampling == run for sampling in samplings) else tuple(samplings),
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


def _usable_headers(listing: ParticleList, sources: Sequence[VolumeSource]) -> list[VolumeHeader]:
    """As `_headers`; in place of those that cannot be read, the header that most particles have."""
    known: dict[Path, VolumeHeader | None] = {}
    for name, source in zip(listing.names, sources, strict=True):
        if source.path not in known:
            try:
                known[source.path] = _header_of(listing, name, source.path)
            except InputError:  # said again, by name, when the particle is read
                known[source.path] = None
    found = [known[source.path] for source in sources]
    kinds = Counter(header for header in found if header is not None)
    if not kinds:
        return _headers(listing, sources)  # which says what is wrong
    ((usual, _),) = kinds.most_common(1)
    return [
        header if header is not None and _holds(header, source) else replace(usual, count=(source.index or 0) + 1)
        for header, source in zip(found, sources, strict=True)
    ]


def _holds(header: VolumeHeader, source: VolumeSource) -> bool:
    return (source.index or 0) < header.count and not (source.index is None and header.count > 1)


def _check_boxes(
    listing: ParticleList,
    sources: Sequence[VolumeSource],
    headers: Sequence[VolumeHeader],
    stacks: Mapping[int, TiltStack],
) -> list[Box]:
    """The box of each particle."""
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
    for name, box in zip(listing.names, boxes, strict=True):
        if len(set(box)) > 1:
            raise InputError(
                f"particle {name}: expected a cubic box, got {box} voxels (z, y, x); crop or pad it to a cube"
                + (
                    ""
                    if box[1] != box[2]
                    else ", or give RELION's list with its tomograms.star if these are tilt images"
                )
            )
    return boxes


def _check_kinds(listing: ParticleList, samplings: Sequence[Sampling]) -> None:
    """Only an optics group of its own may have a box and a voxel size of its own."""
    optics = relion.optics_table(listing.blocks)
    groups = relion.by_group(listing.path, listing.blocks, "rlnOpticsGroup") if len(optics) else [None] * len(samplings)
    first: dict[str | None, int] = {}
    for row, (name, group, its) in enumerate(zip(listing.names, groups, samplings, strict=True)):
        known = first.setdefault(group, row)
        like, expected = listing.names[known], samplings[known]
        if its.box != expected.box:
            raise InputError(
                f"particle {name}: expected a box of {expected.box} voxels (z, y, x) like particle {like}, "
                f"got {its.box}; extract all particles with one box size, or list them in optics groups of their own"
            )
        if its.voxel_size != expected.voxel_size:
            raise InputError(
                f"particle {name}: expected a voxel size of {expected.voxel_size:g} angstrom like particle {like}, "
                f"got {its.voxel_size:g}; list them in optics groups of their own, or give voxel_size_angstrom=..."
            )


def _header_of(listing: ParticleList, name: str, path: Path) -> VolumeHeader:
    try:
        return read_volume_header(path)
    except InputError as error:
        raise InputError(f"{listing.path}: particle {name}: {error}") from None


def _voxel_sizes(listing: ParticleList, headers: Sequence[VolumeHeader], given: float | None) -> Sequence[float]:
    """The voxel size of each particle: what the user says, else what the list says, else what the headers say."""
    if given is not None:
        return [given] * len(headers)
    said = listing.voxel_sizes if listing.voxel_sizes is not None else [header.voxel_size for header in headers]
    sizes: list[float] = []
    for name, size in zip(listing.names, said, strict=True):
        if size is None or not 0 < size < float("inf"):
            raise InputError(
                f"particle {name}: neither the list nor the volume's header gives one voxel size; "
                "give voxel_size_angstrom=..."
            )
        # Headers and lists round: what differs by less than a thousandth is the same.
        sizes.append(next((known for known in sizes[:1] if abs(size - known) <= 1e-3 * known), float(size)))
    if listing.voxel_sizes is None and sizes[0] == 1:
        _LOG.warning("the volumes say 1 angstrom per voxel, which many programs write when they do not know")
    if listing.voxel_sizes is not None:
        _compare_with_headers(listing, sizes, headers)
    return sizes


def _compare_with_headers(listing: ParticleList, sizes: Sequence[float], headers: Sequence[VolumeHeader]) -> None:
    for name, size, header in zip(listing.names, sizes, headers, strict=True):
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
    boxes: Sequence[Box],
    fallback: TiltRange | None,
    stacks: Mapping[int, TiltStack],
    meanings: Sequence[Weighting] | None,
    skip_bad: bool,
) -> list[WeightSource]:
    count = len(listing.names)
    files = listing.weight_names if listing.weight_names is not None else [None] * count
    ranges = listing.tilt_ranges if listing.tilt_ranges is not None else [None] * count
    weights: list[WeightSource] = []
    known: dict[tuple[str, Box, Weighting | None], VolumeSource] = {}
    for row, (name, file, tilt_range) in enumerate(zip(listing.names, files, ranges, strict=True)):
        if row in stacks:
            weights.append(stacks[row])
            continue
        if file is None:
            weights.append(tilt_range or fallback)
            continue
        meaning = None if meanings is None else meanings[row]
        key = (file, boxes[row], meaning)
        if key not in known:
            known[key] = _weight(listing, folder, name, file, boxes[row], meaning, skip_bad)
        weights.append(known[key])
    if None in weights:
        _LOG.warning(
            "%d of %d particles come without weight volume and tilt range: taken as measured in all directions; "
            "give tilt_min_deg=... tilt_max_deg=..., or -90 and 90 where nothing is missing",
            weights.count(None),
            count,
        )
    return weights


def _weight(
    listing: ParticleList, folder: Path, name: str, file: str, box: Box, meaning: Weighting | None, skip_bad: bool
) -> VolumeSource:
    parsed = parse_name(file, listing.path)
    path = folder / parsed.path
    half = (box[0], box[1], box[2] // 2 + 1)
    double = (2 * half[0], *half[1:])
    # With `skip_bad` a weight is looked at when it is read, where its particles can be set aside.
    shape = box if skip_bad else _header_of(listing, name, path).shape
    if shape not in (box, half, double):
        raise InputError(
            f"particle {name}: expected a weight of {box} voxels (or {half}, half-spectrum, or {double}, with its "
            f"multiplicity), got {shape} in {file}"
        )
    return VolumeSource(path, parsed.index) if meaning is None else WeightVolume(path, parsed.index, meaning)
