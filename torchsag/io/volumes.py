"""Volumes and maps of any format this library reads: the suffix decides."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io import em, mrc
from torchsag.io.paths import as_path
from torchsag.io.volume_header import VolumeHeader
from torchsag.particles import DensityMap, DensitySource, TiltStack, VolumeSource
from torchsag.particles.scale import unusable_scale

_LOG = logging.getLogger(__name__)
SMALLEST_BOX = 2
SUFFIXES = (*mrc.SUFFIXES, *em.SUFFIXES)


def is_volume(path: Path | str) -> bool:
    """Whether the name is that of a volume file."""
    return _is_em(Path(path)) or _is_mrc(Path(path))


def _is_em(path: Path) -> bool:
    return path.suffix.lower() in em.SUFFIXES


def _is_mrc(path: Path) -> bool:
    return (Path(path.stem) if path.suffix == ".gz" else path).suffix.lower() in mrc.SUFFIXES


def _check_known(path: Path) -> None:
    if not is_volume(path):
        raise InputError(
            f"{path}: unknown volume format {path.suffix!r}; expected one of {', '.join(SUFFIXES)} (all but .em also "
            "as .gz)"
        )


def read_volume_header(path: Path | str) -> VolumeHeader:
    """Read the size and scale of the volumes in a file, without the voxels.

    Raises
    ------
    InputError
        If the file is missing, damaged or of an unknown format.
    """
    path = Path(path)
    _check_known(path)
    return em.read_em_header(path) if _is_em(path) else mrc.read_mrc_header(path)


def read_volume(source: DensitySource) -> Float[Tensor, "z y x"]:
    """Read one volume as float32, axes (z, y, x), or a tilt stack's images, (image, y, x); values are not checked.

    Raises
    ------
    InputError
        If the file is missing, damaged or of an unknown format.
    """
    _check_known(source.path)
    if isinstance(source, TiltStack):
        return torch.from_numpy(mrc.read_mrc_images(source.path, source.sections))
    if _is_em(source.path):
        return torch.from_numpy(em.read_em(source.path))
    return torch.from_numpy(mrc.read_mrc(source.path, source.index))


def map_volume(path: Path) -> np.ndarray:
    """The one volume of a file of any size, axes (z, y, x), in the file's own type, read where it is looked at.

    Raises
    ------
    InputError
        If the file is missing, damaged, packed, a stack or of an unknown format.
    """
    _check_known(path)
    return em.map_em(path) if _is_em(path) else mrc.map_mrc(path)


def read_map(
    path: Path | str, voxel_size_angstrom: float | int | None = None, setting: str = "voxel_size_angstrom"
) -> DensityMap:
    """Read a density map, for example a reference.

    Parameters
    ----------
    path
        An MRC or EM file, plain or gzipped.
    voxel_size_angstrom
        Used in place of the file's own voxel size.
    setting
        What a user calls `voxel_size_angstrom`, for the message where it is needed.

    Raises
    ------
    InputError
        If the file is missing or damaged, if its values are not finite or do not vary, or if neither the file nor
        `voxel_size_angstrom` gives a voxel size.
    """
    path = as_path("path", path)
    header = read_volume_header(path)
    if voxel_size_angstrom is not None and not 0 < voxel_size_angstrom < float("inf"):
        raise InputError(f"{path}: expected a voxel size above 0 angstrom, got {voxel_size_angstrom}")
    voxel_size = voxel_size_angstrom or header.voxel_size
    if voxel_size is None:
        said = ", ".join(f"{size:g}" for size in header.voxel_sizes)
        raise InputError(
            f"{path}: expected one voxel size above 0 angstrom, the header says {said} along x, y, z; "
            f"give the voxel size of this file with {setting}="
        )
    if voxel_size_angstrom is None and voxel_size == 1:
        _LOG.warning("%s: the header says 1 angstrom per voxel, which many programs write when they do not know", path)
    density = read_volume(VolumeSource(path))
    low, high = map(float, density.aminmax())
    if fault := unusable_scale(low, high):
        raise InputError(f"{path}: {fault}; make the map again")
    if min(density.shape) < SMALLEST_BOX:
        raise InputError(
            f"{path}: expected a map of {SMALLEST_BOX} voxels along each axis at least, got {tuple(density.shape)}"
        )
    return DensityMap(density, float(voxel_size))


def write_map(
    path: Path | str,
    density_map: DensityMap,
    float16: bool = False,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    label: str = "",
) -> None:
    """Write a density map; the suffix decides the format, and the file appears only when complete.

    An MRC file also says where its first voxel lies (`origin`, angstrom, (x, y, z)), which program wrote it, and what
    was done (`label`).

    Raises
    ------
    InputError
        If the suffix is unknown or the file cannot be written.
    """
    path = as_path("path", path)
    _check_known(path)
    if not isinstance(density_map, DensityMap):
        raise InputError(f"density_map: expected a DensityMap, got {type(density_map).__name__}")
    density = density_map.density.detach().cpu().numpy()
    if _is_em(path):
        em.write_em(path, density)
    else:
        mrc.write_mrc(path, density, density_map.voxel_size, float16, origin, label)
