"""RELION documents as torchsag writes them: optics, particles, and a block of its own for what RELION cannot say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.io import relion
from torchsag.io.particle_list import ParticleList
from torchsag.io.star import Block, Loop
from torchsag.io.tilt_columns import set_tilt_geometry
from torchsag.particles import Weighting


def relion_document(
    path: Path,
    blocks: dict[str, Block],
    table: dict[str, list[str]],
    folder: Path | None,
    weighting: Weighting,
    voxel_size: float | None,
    box: int | None = None,
) -> dict[str, Block]:
    """All blocks of a particle list.

    Parameters
    ----------
    path
        Where the list will be written: the folder of the names is noted relative to it.
    blocks
        The document the list came from; its other blocks are kept.
    table
        The particles, RELION's columns and others. An optics group is added where there is none.
    folder
        Where relative names start.
    weighting
        What weight volumes mean.
    voxel_size
        Angstrom, where known.
    box
        Voxels along an edge, where known.
    """
    notes: dict[str, str] = {}
    if folder is not None:
        notes[relion.FOLDER_NOTE] = _relative(folder, path.parent)
    for meaning, kind in relion.WEIGHTINGS.items():
        if isinstance(weighting, kind):
            notes[relion.WEIGHTING_NOTE] = meaning
    name = relion.particle_block_name(blocks)
    listed = blocks.get(name) if name is not None else None
    pairs = listed.pairs if isinstance(listed, Loop) else {}
    kept = {key: block for key, block in blocks.items() if key not in ("optics", name, relion.NOTES)}
    optics = _optics(relion.optics_table(blocks), table, voxel_size, box)
    # RELION 3.0 has one nameless block; from 3.1 on there are optics and particles.
    return {**kept, relion.NOTES: notes, "optics": optics, "particles": Loop(table, pairs)}


def note_tomograms(document: dict[str, Block], path: Path, tomograms: Path | None) -> None:
    """Add to a list that will be written to `path` where its particles' ``tomograms.star`` is, if they have one."""
    notes = document[relion.NOTES]
    if tomograms is not None and isinstance(notes, dict):
        document[relion.NOTES] = {**notes, relion.TOMOGRAMS_NOTE: _relative(tomograms, path.parent)}


def note_series(document: dict[str, Block], pixel_size: float | None) -> None:
    """Add to a list's optics the pixel size of the tilt series (angstrom), which RELION 4 and 5 ask for, if known."""
    optics = document["optics"]
    if pixel_size is not None and isinstance(optics, Loop):
        sizes = [f"{pixel_size:.6f}"] * len(optics)
        optics.columns.setdefault("rlnTomoTiltSeriesPixelSize", sizes)


def file_version(table: dict[str, list[str]]) -> int:
    """The RELION file version to which a table's columns belong."""
    return 50001 if any(column.startswith("rlnCenteredCoordinate") for column in table) else 30001


def _relative(folder: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(folder.resolve(), start.resolve())).as_posix()
    except ValueError:  # another drive
        return folder.resolve().as_posix()


def _optics(listed: Loop, table: dict[str, list[str]], voxel_size: float | None, box: int | None) -> Loop:
    """The optics block with the voxel size in use; made anew where the list had none."""
    size = {} if voxel_size is None else {"rlnImagePixelSize": f"{voxel_size:.6f}"}
    if len(listed):
        groups = dict(listed.columns)
        said = groups.get("rlnImagePixelSize")
        if voxel_size is not None and (said is None or any(abs(float(v) - voxel_size) > 1e-6 for v in said)):
            groups["rlnImagePixelSize"] = [size["rlnImagePixelSize"]] * len(listed)
        return Loop(_with_microscope(groups, table, len(listed)))
    table.setdefault("rlnOpticsGroup", ["1"] * len(next(iter(table.values()))))
    groups = {"rlnOpticsGroup": ["1"], "rlnOpticsGroupName": ["opticsGroup1"]}
    groups = _with_microscope(groups, table, 1)
    groups |= {name: [value] for name, value in size.items()}
    if box is not None:
        groups["rlnImageSize"] = [str(box)]
    return Loop({**groups, "rlnImageDimensionality": ["3"]})


# What RELION asks for even where the CTF comes as a volume and none of it is used.
_MICROSCOPE = {"rlnVoltage": "300.000000", "rlnSphericalAberration": "2.700000", "rlnAmplitudeContrast": "0.100000"}


def _with_microscope(groups: dict[str, list[str]], table: dict[str, list[str]], count: int) -> dict[str, list[str]]:
    """Optics groups with voltage, aberration and contrast: as listed, else usual values."""
    for name, usual in _MICROSCOPE.items():
        groups.setdefault(name, [table[name][0] if name in table else usual] * count)
    return groups


def with_table(listing: ParticleList) -> ParticleList:
    """The same list with a RELION table of what it says, so that a STAR file written from it loses nothing."""
    table: dict[str, list[str]] = {"rlnImageName": list(listing.names)}
    if listing.weight_names is not None:
        table[relion.WEIGHT] = [name or "None" for name in listing.weight_names]
    blocks: dict[str, Block] = {}
    set_tilt_geometry(table, listing.tilt_ranges or [], blocks)
    if listing.tomograms is not None:
        table["rlnMicrographName"] = list(listing.tomograms)
    _add(table, relion.POSITIONS, listing.positions)
    if listing.rotations is not None:
        _add(table, relion.ANGLES, torch.rad2deg(Poses(listing.rotations, listing.rotations[..., 0]).zyz))
    if listing.shifts is not None:
        names = relion.ORIGINS_ANGSTROM if listing.shift_unit == "angstrom" else relion.ORIGINS_PIXEL
        _add(table, names, -listing.shifts)
    if listing.halves is not None:
        table["rlnRandomSubset"] = [str(int(value)) for value in listing.halves]
    if listing.classes is not None:
        table["rlnClassNumber"] = [str(int(value)) for value in listing.classes]
    if listing.scores is not None:
        _add(table, (relion.SCORE,), listing.scores[:, None])
    return replace(listing, blocks={"particles": Loop(table), **blocks})


def _add(table: dict[str, list[str]], names: Sequence[str], values: Float[Tensor, "rows columns"] | None) -> None:
    if values is not None:
        for name, column in zip(names, values.unbind(-1), strict=True):
            table[name] = texts(column, 6)


def set_poses(table: dict[str, list[str]], poses: Poses, voxel_size: float) -> None:
    """Write poses into a table, in place of what it said."""
    degrees = torch.rad2deg(poses.to("cpu", torch.float64).zyz)
    origins = -poses.shifts.to("cpu", torch.float64) * voxel_size
    for name, values in zip(relion.ANGLES, degrees.unbind(-1), strict=True):
        table[name] = texts(values, 6)
    for name, values in zip(relion.ORIGINS_ANGSTROM, origins.unbind(-1), strict=True):
        table[name] = texts(values, 6)
    for name in relion.ORIGINS_PIXEL:  # would contradict the origins in angstrom
        table.pop(name, None)


def texts(values: Float[Tensor, " rows"], digits: int) -> list[str]:
    """Numbers with a fixed count of digits after the point."""
    # Adding zero turns -0.0 into 0.0.
    return [f"{round(value, digits) + 0.0:.{digits}f}" for value in values.detach().cpu().tolist()]
