"""MRC2014 maps and stacks of volumes, plain or gzipped.

The header is parsed here, not by a library, for two reasons: a particle must be read in well under a millisecond, and
the sizes a header promises must be held against the file before memory is asked for.
Source: Cheng et al. (2015) J. Struct. Biol. 192:146; https://www.ccpem.ac.uk/mrc_format/mrc2014.php.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from torchsag.errors import InputError
from torchsag.io.atomic import atomic_path
from torchsag.io.regular_file import open_regular, say_longer
from torchsag.io.volume_header import VolumeHeader
from torchsag.version import VERSION

HEADER_BYTES = 1024
SUFFIXES = (".mrc", ".mrcs", ".map", ".rec", ".st", ".ccp4")
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
# IMOD writes bytes as mode 0 too; its stamp and a flag tell whether they are unsigned.
_IMOD_STAMP, _IMOD_SIGNED = 1146047817, 1
_LABEL_BYTES = 80
_DEFLATE_LIMIT = 1032  # no deflate stream grows by more than this factor when unpacked


@dataclass(frozen=True)
class _Layout:
    """Where in the file the voxels are and how to turn them to (z, y, x)."""

    header: VolumeHeader
    dtype: np.dtype
    offset: int
    stored: tuple[int, int, int]  # (sections of one volume, rows, columns)
    axes: tuple[int, int, int]  # which stored axis is z, y, x

    @property
    def volume_bytes(self) -> int:
        sections, rows, columns = self.stored
        return sections * rows * columns * self.dtype.itemsize


def read_mrc_header(path: Path | str) -> VolumeHeader:
    """Read size and scale, and check that the file is long enough to hold what it promises.

    Raises
    ------
    InputError
        If the file is missing, is no MRC file, or is cut short.
    """
    path = Path(path)
    with open_regular(path) as file:
        return _layout(path, file).header


def read_mrc(path: Path | str, index: int | None = None) -> np.ndarray:
    """Read one volume as float32, axes (z, y, x).

    Parameters
    ----------
    path
        The file.
    index
        Which volume of a stack, from zero; may be left out where the file holds one.

    Raises
    ------
    InputError
        If the file is missing, is no MRC file, is cut short, or has no such volume.
    """
    path = Path(path)
    with open_regular(path) as file:
        layout = _layout(path, file)
        if index is None and layout.header.count > 1:
            raise InputError(f"{path}: expected one volume, got a stack of {layout.header.count}")
        if not 0 <= (index or 0) < layout.header.count:
            raise InputError(f"{path}: expected volume 1 to {layout.header.count} of the stack, got {(index or 0) + 1}")
        raw = _read_bytes(path, file, layout, index or 0)
    volume = np.frombuffer(raw, layout.dtype).reshape(layout.stored)
    if layout.axes != (0, 1, 2):
        volume = volume.transpose(layout.axes)
    # A bytearray backs the array, so float32 in the machine's own order needs no copy and is writable.
    return np.ascontiguousarray(volume, dtype=np.float32)


def read_mrc_images(path: Path | str, sections: Sequence[int]) -> np.ndarray:
    """Read some sections of a file as float32 images, axes (section, y, x).

    Raises
    ------
    InputError
        If the file is missing, is no MRC file, is cut short, or has no such section.
    """
    path = Path(path)
    with open_regular(path) as file:
        layout = _layout(path, file)
        _, rows, columns = layout.stored
        count = layout.header.images
        if not sections or not 0 <= min(sections) <= max(sections) < count:
            raise InputError(f"{path}: expected images {list(sections)[:3]}, ... of the file, got {count} images")
        whole = replace(layout, header=replace(layout.header, count=1), stored=(count, rows, columns))
        raw = _read_bytes(path, file, whole, 0)
    images = np.frombuffer(raw, layout.dtype).reshape(count, rows, columns)
    return np.ascontiguousarray(images[list(sections)], dtype=np.float32)


def map_mrc(path: Path | str) -> np.ndarray:
    """The volume of a file of any size, axes (z, y, x), read only where it is looked at.

    Raises
    ------
    InputError
        If the file is missing, is no MRC file, is cut short, is packed, or holds more than one volume.
    """
    path = Path(path)
    if _is_gzip(path):
        raise InputError(f"{path}: expected a file that is not packed, as only parts of it are read; gunzip it first")
    with open_regular(path) as file:
        layout = _layout(path, file)
    if layout.header.count > 1:
        raise InputError(f"{path}: expected one volume, got a stack of {layout.header.count}")
    return np.memmap(path, layout.dtype, "r", layout.offset, layout.stored).transpose(layout.axes)


def write_mrc(
    path: Path | str,
    volumes: np.ndarray,
    voxel_size: float,
    float16: bool = False,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    label: str = "",
) -> None:
    """Write a volume ``[z y x]`` or a stack of volumes ``[n z y x]``; a name ending in ``.gz`` is compressed.

    The header's first label names the program and its version.

    Parameters
    ----------
    path
        The file; it appears only when complete.
    volumes
        Density.
    voxel_size
        Angstrom per voxel.
    float16
        Store half precision (mode 12), half the size and good to three digits.
    origin
        Where the first voxel lies, angstrom, (x, y, z).
    label
        A second label: what was done; what does not fit into its 80 bytes, or is not ASCII, is left out.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    path = Path(path)
    data = np.ascontiguousarray(volumes, dtype="<f2" if float16 else "<f4")
    header = _pack_header(data, voxel_size, origin, label)
    with atomic_path(path) as temporary:
        if path.suffix == ".gz":
            temporary.write_bytes(gzip.compress(header + data.tobytes(), compresslevel=4, mtime=0))
        else:
            with temporary.open("wb") as file:
                file.write(header)
                data.tofile(file)


def _is_gzip(path: Path) -> bool:
    return path.suffix == ".gz"


def _unpack(path: Path, file, count: int, total: int | None = None) -> bytearray:
    """The first `count` bytes of a gzipped file, or fewer where it ends.

    With the `total` that its header promises the file is read to its end, where its checksum stands.
    """
    unpacker = zlib.decompressobj(wbits=31)
    out = bytearray()
    try:
        while len(out) < count and not unpacker.eof:
            packed = unpacker.unconsumed_tail or file.read(1 << 20)
            if not packed:
                break
            out += unpacker.decompress(packed, count - len(out))
        if total is not None and len(out) == count:
            _read_to_end(path, file, unpacker, total - count)
    except zlib.error as error:
        raise InputError(f"{path}: damaged gzip file ({error}); copy it again") from error
    return out


def _read_to_end(path: Path, file, unpacker, left: int) -> None:
    """Unpack the rest, `left` bytes, for the sake of the checksum."""
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or file.read(1 << 20)
        if not packed:
            raise zlib.error("it ends before its checksum")
        left -= len(unpacker.decompress(packed, 1 << 20))
        if left < 0:  # nobody knows how far it goes on
            say_longer(path, -left)
            return


def _layout(path: Path, file) -> _Layout:
    size = os.fstat(file.fileno()).st_size
    head = bytes(_unpack(path, file, HEADER_BYTES)) if _is_gzip(path) else file.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        raise InputError(
            f"{path}: expected an MRC file of at least {HEADER_BYTES} bytes, got {len(head)}; copy it again"
        )
    layout = _parse_header(path, head)
    promised = layout.offset + layout.header.count * layout.volume_bytes
    limit = size * _DEFLATE_LIMIT if _is_gzip(path) else size
    if promised > limit:
        raise _truncated(path, promised, size)
    if size > promised and not _is_gzip(path):
        say_longer(path, size - promised)
    return layout


def _truncated(path: Path, promised: int, size: int) -> InputError:
    return InputError(
        f"{path}: truncated or damaged MRC file, its header promises {promised} bytes and the file has {size}; "
        "copy or export it again"
    )


def _read_bytes(path: Path, file, layout: _Layout, index: int) -> bytearray:
    start = layout.offset + index * layout.volume_bytes
    if _is_gzip(path):
        file.seek(0)
        promised = layout.offset + layout.header.count * layout.volume_bytes
        raw = _unpack(path, file, start + layout.volume_bytes, promised)[start:]
    else:
        raw = bytearray(layout.volume_bytes)
        file.seek(start)
        view, done = memoryview(raw), 0
        while done < len(raw) and (got := file.readinto(view[done:])):
            done += got
        if done < len(raw):
            raise _truncated(path, start + len(raw), start + done)
    if len(raw) < layout.volume_bytes:
        raise _truncated(path, start + layout.volume_bytes, start + len(raw))
    return raw


def _parse_header(path: Path, head: bytes) -> _Layout:
    order = _byte_order(head)
    columns, rows, sections, mode = struct.unpack(f"{order}4i", head[:16])
    if not (0 <= mode < 256 and 0 < columns < 1 << 20):
        raise InputError(f"{path}: not an MRC file (columns {columns}, mode {mode}); expected an MRC volume")
    if mode not in _MODES:
        raise InputError(
            f"{path}: MRC mode {mode} is not a real-valued volume; expected mode 0, 1, 2, 6 or 12, convert it"
        )
    samples = struct.unpack(f"{order}3i", head[28:40])
    cell = struct.unpack(f"{order}3f", head[40:52])
    axes_map = struct.unpack(f"{order}3i", head[64:76])
    space_group, extended = struct.unpack(f"{order}2i", head[88:96])
    stamp, flags = struct.unpack(f"{order}2i", head[152:160])
    if rows <= 0 or sections <= 0 or extended < 0:
        raise InputError(
            f"{path}: damaged MRC header, size {columns} x {rows} x {sections}, extended header {extended} bytes"
        )
    axes = _axes(path, axes_map)
    dtype = np.dtype(order + _MODES[mode])
    if mode == 0 and stamp == _IMOD_STAMP and not flags & _IMOD_SIGNED:
        dtype = np.dtype("u1")
    depth = _depth(path, (columns, rows, sections), samples[2], space_group)
    stored = (depth, rows, columns)
    shape = (stored[axes[0]], stored[axes[1]], stored[axes[2]])
    sizes = [c / (m if m > 0 else n) for c, m, n in zip(cell, samples, shape[::-1], strict=True)]
    images = sections if axes == (0, 1, 2) else 0
    voxel_sizes = (sizes[0], sizes[1], sizes[2])
    origin = _origin(order, head, axes, voxel_sizes)
    header = VolumeHeader(shape, sections // depth, voxel_sizes, images, origin)
    return _Layout(header, dtype, HEADER_BYTES + extended, stored, axes)


def _origin(
    order: str, head: bytes, axes: tuple[int, int, int], voxel_sizes: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Where the first voxel lies: the origin in angstrom, or where that is empty the start in voxels."""
    x, y, z = struct.unpack(f"{order}3f", head[196:208])
    starts = struct.unpack(f"{order}3i", head[16:28])
    if (x, y, z) == (0, 0, 0):  # starts are listed by column, row, section
        x, y, z = (starts[2 - axes[2 - k]] * size for k, size in enumerate(voxel_sizes))
    return (x, y, z) if all(map(math.isfinite, (x, y, z))) else (0.0, 0.0, 0.0)


def _byte_order(head: bytes) -> str:
    """Byte order by the size of the mode: machine stamps are missing or wrong in many files."""
    return "<" if 0 <= struct.unpack("<i", head[12:16])[0] < 256 else ">"


def _axes(path: Path, axes_map: tuple[int, ...]) -> tuple[int, int, int]:
    """Which stored axis (section 0, row 1, column 2) runs along z, y and x."""
    if axes_map == (0, 0, 0):  # left empty by many programs
        return 0, 1, 2
    if sorted(axes_map) != [1, 2, 3]:
        raise InputError(f"{path}: damaged MRC header, MAPC MAPR MAPS = {axes_map}; expected a permutation of 1, 2, 3")
    column, row, section = axes_map
    stored = {column: 2, row: 1, section: 0}
    return stored[3], stored[2], stored[1]


def _depth(path: Path, size: tuple[int, int, int], interval: int, space_group: int) -> int:
    """Sections of one volume: all of them, unless the file is a stack of volumes."""
    columns, rows, sections = size
    if space_group >= 401 and 0 < interval < sections and sections % interval == 0:
        return interval
    stem = path.stem if _is_gzip(path) else path.name
    if stem.endswith(".mrcs") and columns == rows and sections > rows and sections % rows == 0:
        return rows
    return sections


def _pack_header(data: np.ndarray, voxel_size: float, origin: tuple[float, float, float], label: str) -> bytes:
    z, y, x = data.shape[-3:]
    sections = int(np.prod(data.shape[:-2]))
    space_group = 1 if data.ndim == 3 else 401
    head = bytearray(HEADER_BYTES)
    struct.pack_into("<10i", head, 0, x, y, sections, 12 if data.dtype == "<f2" else 2, 0, 0, 0, x, y, z)
    struct.pack_into("<6f3i", head, 40, x * voxel_size, y * voxel_size, z * voxel_size, 90, 90, 90, 1, 2, 3)
    wide = data.astype(np.float64)
    struct.pack_into("<3f2i", head, 76, wide.min(), wide.max(), wide.mean(), space_group, 0)
    struct.pack_into("<i", head, 108, 20140)
    struct.pack_into("<3f", head, 196, *origin)
    head[208:212], head[212:216] = b"MAP ", b"\x44\x44\x00\x00"
    labels = [text for text in (f"torchsag {VERSION}", label) if text]
    struct.pack_into("<fi", head, 216, wide.std(), len(labels))
    for k, text in enumerate(labels):
        said = text.encode("ascii", "ignore")[:_LABEL_BYTES].ljust(_LABEL_BYTES)
        head[224 + k * _LABEL_BYTES : 224 + (k + 1) * _LABEL_BYTES] = said
    return bytes(head)
