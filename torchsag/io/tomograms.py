"""Tilt series as RELION 4, RELION 5 and WarpTools describe them: where each image lies and what it passes on.

All three come to RELION's projection: a point p of the tomogram appears in image f at ``P_f p``, so the rows of P's
upper left part are the directions of the image's x axis, its y axis and the beam in the tomogram's frame. RELION 4 and
WarpTools write P itself (``rlnTomoProjX`` to ``W``), RELION 5 writes angles, ``P = Rz(ZRot) Ry(YTilt) Rx(XTilt)``
(its ``tomogram.cpp``). WarpTools' P has no translation and its coordinates count the particles' pixels.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.tilt_images import ImageOptics
from torchsag.io.star import Block, Loop, read_star

_MATRIX = ("rlnTomoProjX", "rlnTomoProjY", "rlnTomoProjZ")
_ANGLES = ("rlnTomoXTilt", "rlnTomoYTilt", "rlnTomoZRot")
SIZES = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")


@dataclass(frozen=True, eq=False)
class TiltSeries:
    """One tomogram's images.

    Attributes
    ----------
    name
        What particles call it (``rlnTomoName``).
    frames
        Rows: the directions of each image's x and y axes and of the beam in the tomogram's frame.
    optics
        What each image passes on of a signal at the tomogram's centre.
    pixel_size
        Of the tilt series, angstrom.
    size
        Of the tomogram (x, y, z), pixels of the tilt series; None where the file does not say.
    defocus_slope
        Micrometre of defocus by angstrom of depth along the beam, sign included.
    counts_particle_pixels
        Whether coordinates in this tomogram count the particles' pixels, not those of the tilt series.
    """

    name: str
    frames: Float[Tensor, "tilts 3 3"]
    optics: ImageOptics
    pixel_size: float
    size: Float[Tensor, "3"] | None
    defocus_slope: float
    counts_particle_pixels: bool

    def optics_at(self, offset_angstrom: Float[Tensor, "3"]) -> ImageOptics:
        """What each image passes on of a signal that far from the tomogram's centre."""
        depth = self.frames[:, 2] @ offset_angstrom
        return replace(self.optics, defocus_um=self.optics.defocus_um + self.defocus_slope * depth[:, None])


def read_tilt_series(path: Path, names: set[str], folders: tuple[Path, ...]) -> dict[str, TiltSeries]:
    """The tilt series of the named tomograms.

    Parameters
    ----------
    path
        RELION's ``tomograms.star``, of version 4 or 5, or WarpTools' ``_tomograms.star``.
    names
        The tomograms asked for.
    folders
        Where names in `path` may start.

    Raises
    ------
    InputError
        If a tomogram is missing or what is said of it is not enough.
    """
    found: dict[str, TiltSeries] = {}
    for entry in tilt_tables(path, names, folders):
        found[entry.name] = _tilt_series(entry.path, entry.name, entry.said, entry.images)
    return found


@dataclass(frozen=True)
class TiltTable:
    """What is written of one tomogram.

    Attributes
    ----------
    name
        What particles call it.
    path
        The file in which its images are listed.
    said
        Its row in ``tomograms.star``.
    images
        One row for each image.
    """

    name: str
    path: Path
    said: dict[str, str]
    images: Loop


def tilt_tables(path: Path, names: set[str], folders: tuple[Path, ...]) -> list[TiltTable]:
    """The tables of the named tomograms; parameters and errors as `read_tilt_series`."""
    blocks = read_star(path)
    table = blocks.get("global")
    listed = table if isinstance(table, Loop) else Loop({key: [value] for key, value in (table or {}).items()})
    if "rlnTomoName" not in listed.columns:
        raise InputError(f"{path}: expected a block data_global with a column rlnTomoName, got {', '.join(blocks)}")
    found: list[TiltTable] = []
    for row, name in enumerate(listed.columns["rlnTomoName"]):
        if name in names:
            said = {key: values[row] for key, values in listed.columns.items()}
            where, images = _images(path, name, said, blocks, folders)
            found.append(TiltTable(name, where, said, images))
    missing = names - {entry.name for entry in found}
    if missing:
        raise InputError(f"{path}: expected tomogram {min(missing)}, which particles name, got {len(listed)} others")
    return found


def _images(
    path: Path, name: str, said: dict[str, str], blocks: dict[str, Block], folders: tuple[Path, ...]
) -> tuple[Path, Loop]:
    """The table with one row for each image, and the file it stands in."""
    if "rlnTomoTiltSeriesStarFile" not in said:
        table = blocks.get(name)
        if not isinstance(table, Loop):
            raise InputError(
                f"{path}: expected a block data_{name} with one row for each image, or rlnTomoTiltSeriesStarFile"
            )
        return path, table
    file = said["rlnTomoTiltSeriesStarFile"]
    places = [folder / file for folder in (*folders, path.parent) if os.path.isfile(folder / file)]
    if not places:
        raise InputError(f"{path}: no such file: {file}, the tilt series of tomogram {name}; check the path")
    tables = read_star(places[0])
    loops = [block for block in tables.values() if isinstance(block, Loop)]
    named = tables.get(name)
    table = named if isinstance(named, Loop) else loops[0] if len(loops) == 1 else None
    if table is None:
        raise InputError(f"{places[0]}: expected a block data_{name} with one row for each image")
    return places[0], table


def _tilt_series(path: Path, name: str, said: dict[str, str], images: Loop) -> TiltSeries:
    frames, warp = _frames(path, images)
    size = None
    if all(key in said for key in SIZES):
        size = torch.tensor([number(path, key, said[key]) for key in SIZES], dtype=torch.float64)
    hand = number(path, "rlnTomoHand", said.get("rlnTomoHand", ""))
    slope = number(path, "rlnTomoDefocusSlope", said.get("rlnTomoDefocusSlope", "1"))
    pixel_size = number(path, "rlnTomoTiltSeriesPixelSize", said.get("rlnTomoTiltSeriesPixelSize", ""))
    # A larger defocus is a more negative number here.
    return TiltSeries(name, frames, _optics(path, said, images), pixel_size, size, -1e-4 * hand * slope, warp)


def _frames(path: Path, images: Loop) -> tuple[Float[Tensor, "tilts 3 3"], bool]:
    """Directions of each image, and whether a matrix without translation says that WarpTools wrote it."""
    if all(key in images.columns for key in _MATRIX):
        rows = [[vector(path, key, text) for text in images.columns[key]] for key in _MATRIX]
        matrices = torch.tensor(rows, dtype=torch.float64).movedim(0, 1)
        frames, translations = matrices[..., :3], matrices[..., :2, 3]
        _check_rotations(path, frames)
        return frames / frames.norm(dim=-1, keepdim=True), bool((translations == 0).all())
    if "rlnTomoYTilt" not in images.columns or "rlnTomoZRot" not in images.columns:
        raise InputError(
            f"{path}: expected columns rlnTomoYTilt and rlnTomoZRot, or rlnTomoProjX to rlnTomoProjW, got "
            f"{', '.join(list(images.columns)[:6])}, ...; align the tilt series first"
        )
    tilts = torch.stack([torch.deg2rad(column(path, images, key, 0.0)) for key in _ANGLES])
    about_x, about_y, about_z = (_turn(angles, axis) for axis, angles in enumerate(tilts))
    return about_z @ about_y @ about_x, False


def _check_rotations(path: Path, frames: Float[Tensor, "tilts 3 3"]) -> None:
    square = frames @ frames.mT
    scale = square.diagonal(dim1=-2, dim2=-1).mean(-1)
    off = (square / scale[:, None, None] - torch.eye(3, dtype=torch.float64)).abs().amax((-2, -1))
    if not bool((off < 0.02).all()) or not bool((torch.linalg.det(frames) > 0).all()):
        row = int(off.nan_to_num(math.inf).argmax()) + 1
        raise InputError(f"{path}: image {row}: expected a rotation as rlnTomoProjX, Y, Z, got a matrix that is none")


def _turn(angle: Float[Tensor, " tilts"], axis: int) -> Float[Tensor, "tilts 3 3"]:
    """Active right-handed rotations about x (0), y (1) or z (2)."""
    after, last = (axis + 1) % 3, (axis + 2) % 3
    turn = torch.zeros(len(angle), 3, 3, dtype=angle.dtype)
    turn[:, axis, axis] = 1
    turn[:, after, after] = turn[:, last, last] = torch.cos(angle)
    turn[:, last, after] = torch.sin(angle)
    turn[:, after, last] = -torch.sin(angle)
    return turn


def _optics(path: Path, said: dict[str, str], images: Loop) -> ImageOptics:
    microscope = Microscope(
        number(path, "rlnVoltage", said.get("rlnVoltage", "")),
        number(path, "rlnSphericalAberration", said.get("rlnSphericalAberration", "")),
        number(path, "rlnAmplitudeContrast", said.get("rlnAmplitudeContrast", "")),
    )
    defocus = torch.stack([column(path, images, key) for key in ("rlnDefocusU", "rlnDefocusV")], -1)
    exposure = column(path, images, "rlnMicrographPreExposure")
    b_factor = column(path, images, "rlnCtfBfactor", 0.0)
    by_dose = number(path, "rlnCtfBfactorPerElectronDose", said.get("rlnCtfBfactorPerElectronDose", "0"))
    if by_dose > 0:  # RELION's other model of damage, in place of critical exposures
        b_factor, exposure = b_factor + by_dose * exposure, torch.zeros_like(exposure)
    return ImageOptics(
        microscope,
        -1e-4 * defocus,
        torch.deg2rad(column(path, images, "rlnDefocusAngle", 0.0)),
        torch.deg2rad(column(path, images, "rlnPhaseShift", 0.0)),
        column(path, images, "rlnCtfScalefactor", 1.0),
        b_factor,
        exposure,
    )


def column(path: Path, images: Loop, key: str, default: float | None = None) -> Float[Tensor, " tilts"]:
    """One number for each image; the default where the column is missing.

    Raises
    ------
    InputError
        If a value is no number, or the column is missing and has no default.
    """
    texts = images.columns.get(key)
    if texts is None and default is not None:
        return torch.full((len(images),), default, dtype=torch.float64)
    if texts is None:
        raise InputError(f"{path}: expected a column {key} with one value for each image; estimate the CTF first")
    return torch.tensor([number(path, f"{key} of image {k}", t) for k, t in enumerate(texts, 1)], dtype=torch.float64)


def is_warp(path: Path, images: Block | None) -> bool:
    """Whether WarpTools wrote a tilt series: its matrices have no translation."""
    if not isinstance(images, Loop) or not all(key in images.columns for key in _MATRIX):
        return False
    return _frames(path, images)[1]


def number(path: Path, key: str, text: str) -> float:
    """A number that a file gives as text.

    Raises
    ------
    InputError
        If it is none, or not finite.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}: expected a number as {key}, got {text!r}")
    return value


def vector(path: Path, key: str, text: str) -> list[float]:
    """The four numbers of a row of a projection matrix.

    Raises
    ------
    InputError
        If they are something else.
    """
    try:
        numbers = [float(part) for part in json.loads(text)]
    except (ValueError, TypeError):
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise InputError(f"{path}: expected four numbers in brackets as {key}, got {text!r}")
    return numbers
