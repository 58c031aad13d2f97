"""Several particle lists as one: names from one folder, optics groups numbered anew, columns that all of them have."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from torchsag.errors import InputError
from torchsag.io import relion
from torchsag.io.ctf_images import COLUMN
from torchsag.io.list_selection import distinct, table_of
from torchsag.io.particle_list import ParticleList, find_folder, parse_name
from torchsag.io.relion_export import renamed, set_origins
from torchsag.io.star import Block, Loop
from torchsag.io.tilt_columns import SCHEME, SCHEMES_BLOCK
from torchsag.io.tilt_stacks import CENTRED

_LOG = logging.getLogger(__name__)
_NAMES = ("rlnImageName", COLUMN, relion.WEIGHT)
_GROUP, _GROUP_NAME = "rlnOpticsGroup", "rlnOpticsGroupName"


def start_of_names(listing: ParticleList) -> Path:
    """The folder in which names start; beside the list where no volume is there to tell."""
    try:
        return find_folder(listing)
    except InputError:
        return listing.path.parent.resolve()


def volume_keys(listing: ParticleList) -> Sequence[tuple[object, ...]]:
    """What tells a list's volumes from those of other lists: file and place in it, links followed.

    Where no volumes are named it is the position, which is the same to a thousandth of what it counts.
    """
    if not listing.named:
        return _position_keys(listing)
    folder = start_of_names(listing)
    parsed = [parse_name(name, listing.path) for name in listing.names]
    return [((folder / one.path).resolve(), one.index) for one in parsed]


def _position_keys(listing: ParticleList) -> list[tuple[object, ...]]:
    table = table_of(listing).columns
    columns = [table[name] for names in (relion.POSITIONS, CENTRED) for name in names if name in table]
    tomograms = listing.tomograms or [""] * len(listing.names)
    return [(name, *(f"{float(x):.3f}" for x in place)) for name, *place in zip(tomograms, *columns, strict=True)]


def joined(listings: Sequence[ParticleList], sizes: Sequence[Sequence[float] | None]) -> ParticleList:
    """All particles of several lists, one list after another.

    Columns that not all lists have are left out, which is logged. Origins become angstrom. Optics groups that say the
    same become one.

    Parameters
    ----------
    listings
        At least one.
    sizes
        Angstrom per voxel of the particles of each; None where unknown.

    Raises
    ------
    InputError
        If weights mean different things, only some lists have optics groups, positions count different voxels or one
        list does not say which, or the lists belong to different ``tomograms.star``.
    """
    first = listings[0]
    if len(listings) == 1:
        return first
    _check(listings)
    _check_positions(listings, sizes)
    folder = start_of_names(first)
    tables = [_table(k, one, size, folder) for k, (one, size) in enumerate(zip(listings, sizes, strict=True))]
    optics, numbers = _optics(listings)
    for table, group in zip(tables, numbers, strict=True):
        if group is not None:
            table[_GROUP] = group
    common = [name for name in tables[0] if all(name in table for table in tables)]
    dropped = distinct(name for table in tables for name in table if name not in common)
    if dropped:
        _LOG.warning("columns that not all lists have are left out: %s", ", ".join(dropped))
    columns = {name: [value for table in tables for value in table[name]] for name in common}
    blocks: dict[str, Block] = {"particles": Loop(columns), **({"optics": optics} if len(optics) else {})}
    blocks |= _schemes(listings)
    listing = relion.particle_list(first.path, blocks)
    known = [size for size in sizes if size is not None]
    if listing.voxel_sizes is None and len(known) == len(sizes):
        listing = replace(listing, voxel_sizes=[value for size in known for value in size])
    # Positions may have been completed from tomograms.star; those are not in the table.
    positions = [one.positions for one in listings]
    if all(one is not None for one in positions):
        listing = replace(listing, positions=torch.cat([one for one in positions if one is not None]))
    kept = {"weighting": first.weighting, "tomograms_file": first.tomograms_file, "named": first.named}
    return replace(listing, folders=(folder,), **kept)


def _check(listings: Sequence[ParticleList]) -> None:
    first = listings[0]
    for other in listings[1:]:
        alike = type(other.weighting) is type(first.weighting) and not (other.weightings or first.weightings)
        if not alike and (first.named or other.named):  # positions alone have no weights
            raise InputError(
                f"{other.path}: expected weights that mean the same as those of {first.path}, "
                f"{type(first.weighting).__name__}, got {type(other.weighting).__name__}; convert one of them first"
            )
        if other.named != first.named:
            raise InputError(
                f"{other.path}: expected volumes in all lists or in none, {first.path} differs; extract the particles "
                "of the one that gives positions alone first"
            )
        if bool(len(relion.optics_table(other.blocks))) != bool(len(relion.optics_table(first.blocks))):
            raise InputError(
                f"{other.path}: expected optics groups in all lists or in none, {first.path} differs; write both with "
                "torchsag convert program=relion first"
            )
        if other.tomograms_file != first.tomograms_file:
            raise InputError(
                f"{other.path}: expected the tomograms.star of {first.path}, {first.tomograms_file}, got "
                f"{other.tomograms_file}; lists of one project can be joined"
            )
        if _position_scale(other) != _position_scale(first):
            raise InputError(
                f"{other.path}: expected positions that count the voxels of {first.path}, got others; select from one "
                "of them with new_voxel_size_angstrom= first"
            )


def _check_positions(listings: Sequence[ParticleList], sizes: Sequence[Sequence[float] | None]) -> None:
    """Positions of lists that tell their voxel size and of lists that do not may count anything."""
    placed = [pair for pair in zip(listings, sizes, strict=True) if pair[0].positions is not None]
    known = next(((one.path, its[0]) for one, its in placed if its), None)
    unknown = next((one.path for one, its in placed if its is None), None)
    if known is not None and unknown is not None:
        raise InputError(
            f"{unknown}: does not say what its positions count, and {known[0]} has voxels of {known[1]:g} angstrom; "
            f"give voxel_size_angstrom={known[1]:g} if both count the same voxels, or write that list with its voxel "
            "size first"
        )


def _position_scale(listing: ParticleList) -> tuple[str, ...]:
    """Where positions count pixels of the tilt series, the scales that say so, else nothing."""
    table = relion.optics_table(listing.blocks).columns
    keys = ("rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize")
    if not all(key in table for key in keys) or relion.POSITIONS[0] not in table_of(listing).columns:
        return ()
    return tuple(f"{float(table[key][0]):.5f}" for key in keys)


def _table(number: int, listing: ParticleList, sizes: Sequence[float] | None, folder: Path) -> dict[str, list[str]]:
    """A list's columns, in the units and names of the joined one."""
    table = dict(table_of(listing).columns)
    own = start_of_names(listing)
    for name in _NAMES:
        if name in table:
            table[name] = renamed(table[name], listing.path, own, folder)
    # Without shifts the table's angles say all.
    if listing.shifts is not None or (listing.rotations is not None and sizes is not None):
        if sizes is None:
            raise InputError(
                f"{listing.path}: expected a voxel size to join its shifts with others; give voxel_size_angstrom="
            )
        set_origins(table, listing, list(sizes))
    if SCHEME in table:
        table[SCHEME] = [value if value == "None" else f"{number + 1}.{value}" for value in table[SCHEME]]
    return table


def _schemes(listings: Sequence[ParticleList]) -> dict[str, Block]:
    rows: dict[str, list[str]] = {}
    for number, listing in enumerate(listings):
        block = listing.blocks.get(SCHEMES_BLOCK)
        if isinstance(block, Loop):
            for name, values in block.columns.items():
                rows.setdefault(name, []).extend(f"{number + 1}.{v}" if name == SCHEME else v for v in values)
    return {SCHEMES_BLOCK: Loop(rows)} if rows else {}


def _optics(listings: Sequence[ParticleList]) -> tuple[Loop, list[list[str] | None]]:
    """The groups of all lists, and the group of each particle of each list; None where there are no groups."""
    tables = [relion.optics_table(listing.blocks) for listing in listings]
    if not any(len(table) for table in tables):
        return Loop({}), [None] * len(listings)
    common = [name for name in tables[0].columns if name != _GROUP and all(name in t.columns for t in tables)]
    known: dict[tuple[str, ...], str] = {}
    numbers: list[list[str] | None] = []
    for listing, table in zip(listings, tables, strict=True):
        rows = [tuple(table.columns[name][k] for name in common) for k in range(len(table))]
        new = [known.setdefault(row, str(len(known) + 1)) for row in rows]
        numbered = Loop({**table.columns, "new": new})
        of_particle = relion.by_group(listing.path, {**listing.blocks, "optics": numbered}, "new")
        numbers.append([number or "1" for number in of_particle])
    columns = {name: [row[k] for row in known] for k, name in enumerate(common)}
    if _GROUP_NAME in columns and len(set(columns[_GROUP_NAME])) < len(known):  # RELION tells groups by name
        columns[_GROUP_NAME] = [
            f"{name}_{number}" for name, number in zip(columns[_GROUP_NAME], known.values(), strict=True)
        ]
    return Loop({_GROUP: list(known.values()), **columns}), numbers
