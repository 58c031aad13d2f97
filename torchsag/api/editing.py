"""``torchsag.edit_map``: crop, pad, rescale, filter, flip, recentre, symmetrise."""

from __future__ import annotations

import os
from typing import Any

from torchsag.averaging.map_changes import MapChanges
from torchsag.errors import InputError
from torchsag.io import read_map
from torchsag.particles import DensityMap
from torchsag.particles.arrays import as_voxel_size


def edit_map(volume: Any, *, voxel_size: float | int | None = None, **changes: Any) -> DensityMap:
    """Change a map as ``torchsag map`` does, in the order that it states.

    Parameters
    ----------
    volume
        A `DensityMap`, an array ``[z, y, x]``, or a path.
    voxel_size
        Angstrom per voxel: needed for an array; of a file, in place of what its header says.
    changes
        The attributes of `torchsag.averaging.map_changes.MapChanges`: ``symmetry="D7"``, ``find_axes=True``,
        ``low_pass_angstrom=20.0``, ``new_voxel_size_angstrom=10.0``, ``box=64``, ...

    Raises
    ------
    InputError
        Naming the argument that cannot be used.
    """
    size = None if voxel_size is None else as_voxel_size(voxel_size)
    known = MapChanges.__dataclass_fields__
    for name in changes:
        if name not in known:
            raise InputError(f"{name}: expected one of {', '.join(known)}, got a word that edit_map does not know")
    made = MapChanges(**changes)
    if isinstance(volume, (str, os.PathLike)):
        return made.change(read_map(os.fspath(volume), size)).density_map
    if isinstance(volume, DensityMap):
        if size is not None:
            raise InputError(f"voxel_size: expected none with a DensityMap, which has its own, got {size:g}")
        return made.change(volume).density_map
    if size is None:
        raise InputError("voxel_size: expected the angstrom per voxel of a map given as an array, got none")
    return made.change(DensityMap.from_array(volume, size)).density_map
