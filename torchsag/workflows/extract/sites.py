"""Where boxes are cut: listed positions in voxels of the tomograms, as a whole voxel and what is left over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io import relion
from torchsag.io.particle_list import ParticleList
from torchsag.io.star import Loop
from torchsag.io.tilt_stacks import CENTRED

_SAME_SIZE = 0.01  # relative: voxel sizes are written with few digits


@dataclass(frozen=True, eq=False)
class Sites:
    """One box for each entry of a list.

    Attributes
    ----------
    centres
        The voxel of the tomogram that becomes the box centre, (x, y, z), the first voxel being 0.
    poses
        How the particle lies in its box, axes those of the tomogram, shifts in voxels of the tomogram: the listed
        shift's and the position's fraction of a voxel.
    oriented
        Whether the list gave rotations; else they are the identity.
    """

    centres: Integer[Tensor, "particles 3"]
    poses: Poses
    oriented: bool


def find_sites(
    listing: ParticleList,
    shapes: Sequence[tuple[int, int, int]],
    voxel_size: float,
    rescale: float | None,
    counted_from: float = 0.0,
) -> Sites:
    """Turn what a list says into voxels of its tomograms.

    The particle lies at its listed position plus its listed shift. The box is centred on the nearest whole voxel, so
    that no value of the tomogram is interpolated, and the rest stays as the shift in the box: nothing is lost.

    Parameters
    ----------
    listing
        The list.
    shapes
        Size (z, y, x) of each particle's tomogram.
    voxel_size
        Of the tomograms, angstrom.
    rescale
        Voxels of the tomogram for one of the list; None asks the list.
    counted_from
        What the list calls the first voxel.

    Raises
    ------
    InputError
        If the list gives no positions, or in voxels of another size and `rescale` is not given.
    """
    positions, factor = _positions(listing, shapes, voxel_size, rescale, counted_from)
    poses = _poses(listing, voxel_size, factor)
    where = positions + poses.shifts
    centres = torch.floor(where + 0.5)
    oriented = listing.rotations is not None or listing.box_frames is not None
    return Sites(centres.long(), Poses(poses.rotations, where - centres), oriented)


def _positions(
    listing: ParticleList,
    shapes: Sequence[tuple[int, int, int]],
    voxel_size: float,
    rescale: float | None,
    counted_from: float,
) -> tuple[Float[Tensor, "particles 3"], float]:
    """Positions in voxels of the tomograms from the first one, and what one voxel of the list measures in them."""
    centred = _centred(listing)
    sizes = None if listing.voxel_sizes is None else torch.tensor(listing.voxel_sizes, dtype=torch.float64)
    if centred is not None and rescale is not None:
        raise InputError(
            f"rescale: expected null, as {listing.path} gives positions in angstrom, which the tomograms' voxel size "
            f"turns into voxels, got {rescale:g}"
        )
    if centred is not None and (listing.positions is None or sizes is None):
        middle = torch.tensor(shapes, dtype=torch.float64).flip(-1) / 2
        return centred / voxel_size + middle, 1.0
    if listing.positions is None:
        raise InputError(
            f"{listing.path}: gives no positions in tomograms; expected rlnCoordinateX, Y, Z, "
            "rlnCenteredCoordinateXAngst, Y, Z, columns x, y, z of a csv, or another program's list with positions"
        )
    listed = listing.positions.double() - counted_from
    if rescale is None and sizes is not None and (centred is not None or _tells_series(listing)):
        return listed * (sizes / voxel_size)[:, None], 1.0  # voxels of a size that is known
    if rescale is None and sizes is not None and bool(((sizes / voxel_size - 1).abs() > _SAME_SIZE).any()):
        other = float(sizes[(sizes / voxel_size - 1).abs().argmax()])
        raise InputError(
            f"{listing.path}: says {other:g} angstrom per voxel and its tomogram has {voxel_size:g}; give "
            f"rescale={other / voxel_size:.6g} if positions count the list's voxels, rescale=1 if they count the "
            "tomogram's"
        )
    factor = 1.0 if rescale is None else float(rescale)
    return listed * factor, factor


def _centred(listing: ParticleList) -> Float[Tensor, "particles 3"] | None:
    table = listing.blocks.get(relion.particle_block_name(listing.blocks) or "")
    if not isinstance(table, Loop) or not all(key in table.columns for key in CENTRED):
        return None
    return torch.stack([relion.numbers(listing.path, table, key) for key in CENTRED], -1)


def _tells_series(listing: ParticleList) -> bool:
    """Whether the list tells the size of the pixels that its coordinates count."""
    return "rlnTomoTiltSeriesPixelSize" in relion.optics_table(listing.blocks).columns


def _poses(listing: ParticleList, voxel_size: float, factor: float) -> Poses:
    """Listed poses in the tomogram's frame, shifts in its voxels."""
    count = len(listing.names)
    if listing.rotations is None and listing.shifts is None:
        poses = Poses.identity(count, dtype=torch.float64)
        return poses if listing.box_frames is None else Poses(listing.box_frames.double(), poses.shifts)
    if listing.shift_unit == "angstrom":
        listing, factor = replace(listing, voxel_sizes=[voxel_size] * count), 1.0
    elif listing.voxel_sizes is not None and factor == 1.0:
        factors = torch.tensor(listing.voxel_sizes, dtype=torch.float64)[:, None] / voxel_size
        if _centred(listing) is not None or _tells_series(listing):
            return _scaled(listing, factors)
    return _scaled(listing, factor)


def _scaled(listing: ParticleList, factor: float | Tensor) -> Poses:
    poses = listing.tomogram_poses(None)
    assert poses is not None
    return Poses(poses.rotations.double(), poses.shifts.double() * factor)
