"""EM files, the volume format of the TOM, AV3 and Dynamo family: a 512-byte header, then the voxels, x fastest.

The header has no dependable place for a voxel size. Source: the TOM toolbox' ``tom_emread``.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from torchsag.errors import InputError
from torchsag.io.atomic import atomic_path
from torchsag.io.regular_file import open_regular, say_longer
from torchsag.io.volume_header import VolumeHeader

HEADER_BYTES = 512
SUFFIXES = (".em",)
_PC = 6
_BIG_ENDIAN_MACHINES = (0, 3, 5)
_TYPES = {1: "i1", 2: "i2", 4: "i4", 5: "f4", 9: "f8"}


def read_em_header(path: Path | str) -> VolumeHeader:
    """Read the size, and check that the file is long enough to hold what it promises.

    Raises
    ------
    InputError
        If the file is missing, is no EM file, or is cut short.
    """
    shape, _ = _layout(Path(path))
    return VolumeHeader(shape)


def read_em(path: Path | str) -> np.ndarray:
    """Read a volume as float32, axes (z, y, x).

    Raises
    ------
    InputError
        If the file is missing, is no EM file, or is cut short.
    """
    path = Path(path)
    shape, dtype = _layout(path)
    values = np.fromfile(path, dtype, count=shape[0] * shape[1] * shape[2], offset=HEADER_BYTES)
    return values.reshape(shape).astype(np.float32, copy=False)


def map_em(path: Path | str) -> np.ndarray:
    """The volume of a file of any size, axes (z, y, x), read only where it is looked at.

    Raises
    ------
    InputError
        If the file is missing, is no EM file, or is cut short.
    """
    path = Path(path)
    shape, dtype = _layout(path)
    return np.memmap(path, dtype, "r", HEADER_BYTES, shape)


def write_em(path: Path | str, volume: np.ndarray) -> None:
    """Write a volume ``[z y x]`` as float32; the format does not hold a voxel size.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    data = np.ascontiguousarray(volume, dtype="<f4")
    z, y, x = data.shape
    head = struct.pack("<4b3i", _PC, 0, 0, 5, x, y, z).ljust(HEADER_BYTES, b"\0")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(head)
        data.tofile(file)


def _layout(path: Path) -> tuple[tuple[int, int, int], np.dtype]:
    with open_regular(path) as file:
        head = file.read(HEADER_BYTES)
        size = os.fstat(file.fileno()).st_size
    if len(head) < HEADER_BYTES:
        raise InputError(
            f"{path}: expected an EM file of at least {HEADER_BYTES} bytes, got {len(head)}; copy it again"
        )
    machine, kind = head[0], head[3]
    order = ">" if machine in _BIG_ENDIAN_MACHINES else "<"
    x, y, z = struct.unpack(f"{order}3i", head[4:16])
    if kind not in _TYPES or min(x, y, z) <= 0:
        raise InputError(f"{path}: not an EM file of real values (type {kind}, size {x} x {y} x {z}); convert it")
    dtype = np.dtype(order + _TYPES[kind])
    promised = HEADER_BYTES + x * y * z * dtype.itemsize
    if promised > size:
        raise InputError(
            f"{path}: truncated or damaged EM file, its header promises {promised} bytes and the file has {size}; "
            "copy or export it again"
        )
    if size > promised:
        say_longer(path, size - promised)
    return (z, y, x), dtype
