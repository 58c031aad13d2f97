"""Particles' transforms in two or three large files that all processes of a run share and map into memory.

A particle has a slot of fixed size in each file. Coefficients stand in the order of their distance from the origin, so
that what lies up to a shell is the beginning of the slot: a run that needs a third of the frequencies reads a
twenty-seventh of the numbers. They are kept in half precision in units of the largest of their shell; rounding adds
less than a millionth of the coefficient's power.

A slot begins with a mark of all its contents follow from and a checksum. Both are looked at when a process first reads
the slot: what another process has not finished, what an earlier run with other files left, and what a full disk or a
kill has damaged count as not there. Slots are written by single calls and begin on pages, so that hosts which share
the folder never write to the same page.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.fourier import half_frequencies
from torchsag.particles.transform_store import MARGIN, Kind

_LOG = logging.getLogger(__name__)
_PAGE = 4096
_HEAD = 24  # bytes: sixteen of the mark, eight for the checksum


@dataclass(frozen=True)
class _Layout:
    """Where the coefficients of a kind stand in a slot.

    Attributes
    ----------
    positions
        Places in the flattened half-spectrum, by distance from the origin.
    ends
        How many of them lie within each shell 0, 1, ...
    shells
        The shell of each: its distance, rounded up.
    parts
        Numbers of one coefficient: 2 if complex.
    """

    positions: Integer[Tensor, " coefficients"]
    ends: tuple[int, ...]
    shells: Integer[Tensor, " coefficients"]
    parts: int

    @property
    def slot(self) -> int:
        """Bytes of a slot, whole pages."""
        size = _HEAD + 4 * len(self.ends) + 2 * self.parts * len(self.positions)
        return -(-size // _PAGE) * _PAGE

    @property
    def start(self) -> int:
        """Where the coefficients begin in a slot."""
        return _HEAD + 4 * len(self.ends)


@lru_cache(maxsize=8)
def _layout(kind: Kind, n: int) -> _Layout:
    radius = half_frequencies((n, n, n), dtype=torch.float64).norm(dim=-1).flatten() * n
    last = -(-n // 2) + (0 if kind == "spectra" else MARGIN)
    order = radius.argsort(stable=True)
    order = order[radius[order] <= last + 1e-6]
    shells = (radius[order] - 1e-6).ceil().clamp_min(0).long()
    ends = torch.bincount(shells).cumsum(0)
    return _Layout(order, tuple(ends.tolist()), shells, 1 if kind == "weights" else 2)


@dataclass(frozen=True, eq=False)
class TransformFiles:
    """A `torchsag.particles.TransformStore` on disk.

    Attributes
    ----------
    folder
        Where the files are; whoever made the store removes it.
    box
        Edge of the particles' cubic box, voxels.
    marks
        For each row of the particle list a text: all that the particle's transform follows from.
    limit_bytes
        The files together grow no larger; particles beyond that are read from their own files each time.
    """

    folder: Path
    box: int
    marks: Mapping[int, str]
    limit_bytes: int
    _open: dict[Kind, np.memmap] = field(default_factory=dict, repr=False)
    _whole: set[tuple[Kind, int]] = field(default_factory=set, repr=False)
    _given_up: list[str] = field(default_factory=list, repr=False)

    @cached_property
    def _slots(self) -> dict[int, int]:
        """Which slot a row has, of those that have one."""
        kinds: tuple[Kind, ...] = ("spectra", "gridded", "weights")
        capacity = self.limit_bytes // sum(_layout(kind, self.box).slot for kind in kinds)
        return {row: slot for slot, row in enumerate(self.marks) if slot < capacity}

    def keeps(self, row: int) -> bool:
        """See `torchsag.particles.TransformStore`."""
        return row in self._slots and not self._given_up

    def get(self, kind: Kind, row: int, last_shell: int) -> Tensor | None:
        """See `torchsag.particles.TransformStore`."""
        if row not in self._slots:
            return None
        layout, n = _layout(kind, self.box), self.box
        slot = self._slot(kind, row, layout)
        if slot is None:
            return None
        last = min(last_shell + (0 if kind == "spectra" else MARGIN), len(layout.ends) - 1)
        count = layout.ends[last]
        scale = slot[_HEAD : layout.start].view(np.float32)[: last + 1]
        numbers = slot[layout.start : layout.start + 2 * layout.parts * count].view(np.float16).astype(np.float32)
        # A shell's coefficients stand together.
        numbers *= np.repeat(scale, layout.parts * np.diff(layout.ends[: last + 1], prepend=0))
        values = torch.from_numpy(numbers).view(count, layout.parts)
        flat = torch.view_as_complex(values) if layout.parts == 2 else values[:, 0]
        half = torch.zeros(n * n * (n // 2 + 1), dtype=flat.dtype)
        return half.index_copy_(0, layout.positions[:count], flat).view(n, n, n // 2 + 1)

    def put(self, kind: Kind, row: int, half: Tensor) -> None:
        """See `torchsag.particles.TransformStore`; what cannot be written is not kept, and the log says so once."""
        if not self.keeps(row):
            return
        layout = _layout(kind, self.box)
        values = half.detach().cpu().flatten()[layout.positions]
        values = (torch.view_as_real(values) if layout.parts == 2 else values[:, None]).float()
        largest = values.abs().amax(1)
        scale = torch.zeros(len(layout.ends)).scatter_reduce_(0, layout.shells, largest, "amax")
        if not bool(torch.isfinite(scale).all()):
            return
        numbers = (values / scale.clamp_min(torch.finfo(scale.dtype).tiny)[layout.shells, None]).half()
        body = scale.numpy().tobytes() + numbers.numpy().tobytes()
        content = (self._mark(row) + zlib.crc32(body).to_bytes(8, "little") + body).ljust(layout.slot, b"\0")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path(kind), os.O_RDWR | os.O_CREAT, 0o666)
            try:
                written = os.pwrite(handle, content, self._slots[row] * layout.slot)
            finally:
                os.close(handle)
            if written < len(content):
                raise OSError(f"{written} of {len(content)} bytes written")
        except OSError as error:
            self._given_up.append(str(error))
            _LOG.warning("%s: %s; particles are read from their own files from here on", self.folder, error)

    def _slot(self, kind: Kind, row: int, layout: _Layout) -> np.ndarray | None:
        """The bytes of a slot that is whole."""
        start = self._slots[row] * layout.slot
        held = self._open.get(kind)
        if held is None or len(held) < start + layout.slot:
            held = self._mapped(kind, start + layout.slot)
        if held is None:
            return None
        size = layout.start + 2 * layout.parts * len(layout.positions)
        slot = held[start : start + size]
        if (kind, row) not in self._whole:
            if slot[:16].tobytes() != self._mark(row):
                return None
            if int.from_bytes(slot[16:_HEAD].tobytes(), "little") != zlib.crc32(slot[_HEAD:].data):
                return None
            self._whole.add((kind, row))
        return slot

    def _mapped(self, kind: Kind, least: int) -> np.memmap | None:
        """The file's whole slots, for reading; None where it does not reach that far yet."""
        path, slot = self._path(kind), _layout(kind, self.box).slot
        try:
            size = path.stat().st_size // slot * slot
            if size < least:
                return None
            self._open[kind] = np.memmap(path, np.uint8, "r", shape=(size,))
        except (OSError, ValueError):
            return None
        return self._open[kind]

    def _mark(self, row: int) -> bytes:
        return hashlib.sha256(f"{self.box}|{self.marks[row]}".encode()).digest()[:16]

    def _path(self, kind: Kind) -> Path:
        return self.folder / f"{kind}.bin"
