"""Arrays kept between two runs, in a file that says by itself whether it is whole and of this version.

A ``.npz`` archive followed by one line: a name, the version of the format, the version of torchsag and a SHA-256 of all
that comes before the line. The sum finds damage, not malice: who can write to the output folder can write results.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from pathlib import Path

import numpy as np
import torch

from torchsag.damaged_arrays import DAMAGED_ARRAYS
from torchsag.io import atomic_path
from torchsag.version import VERSION

_log = logging.getLogger(__name__)

_FORMAT = 1
_LAST_LINE = re.compile(rb"\ntorchsag-record ([0-9]+) (\S{1,40}) ([0-9a-f]{64})\n\Z")
_LONGEST_LINE = 160
_BLOCK = 1 << 20

Columns = dict[str, np.ndarray]


class Unusable(Exception):
    """A record that is damaged, foreign or of another version; says which."""


def write_record(path: Path, columns: Columns) -> None:
    """Write the arrays; a kill at any moment leaves what was there before, or all of them."""
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, **columns)  # type: ignore[arg-type]
        found = checksum(temporary)
        with temporary.open("ab") as file:
            file.write(f"\ntorchsag-record {_FORMAT} {VERSION} {found}\n".encode())
            file.flush()
            os.fsync(file.fileno())


def read_record(path: Path) -> Columns:
    """The arrays.

    Raises
    ------
    Unusable
        If the file is damaged, foreign or of another version.
    """
    try:
        if not path.is_file():
            raise Unusable("is no file")
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _LONGEST_LINE))
            last = _LAST_LINE.search(file.read())
        if last is None:
            raise Unusable("is damaged, or was not written by this version of torchsag")
        version = (int(last[1]), last[2].decode())
        if version != (_FORMAT, VERSION):
            raise Unusable(f"was written by torchsag {version[1]}")
        if checksum(path, size - len(last[0])) != last[3].decode():
            raise Unusable("is damaged: its checksum does not fit")
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except DAMAGED_ARRAYS as error:
        raise Unusable(f"is damaged ({type(error).__name__})") from error


def discard(path: Path, reason: Exception, consequence: str) -> None:
    """Remove an unusable record and say what follows, in one sentence."""
    _log.warning("%s %s; %s", path, reason, consequence)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def require_poses(columns: Columns, unaligned: np.ndarray | None = None) -> None:
    """Rotations are rotations and shifts finite, but for rows that say themselves that they have none.

    Raises
    ------
    Unusable
        If not.
    """
    rotations, shifts = columns.get("rotations"), columns.get("shifts")
    fitting = (
        rotations is not None and shifts is not None and rotations.shape[-2:] == (3, 3)
        and shifts.shape == rotations.shape[:-1] and rotations.dtype.kind == shifts.dtype.kind == "f"
    )  # fmt: skip
    if not fitting:
        raise Unusable("holds no poses")
    assert rotations is not None
    assert shifts is not None
    used = np.ones(len(shifts), bool) if unaligned is None else ~unaligned
    turn = torch.from_numpy(rotations[used]).double()
    off = (turn @ turn.mT - torch.eye(3, dtype=torch.float64)).abs()
    if not (bool((off < 1e-3).all()) and bool((torch.linalg.det(turn) > 0).all()) and np.isfinite(shifts[used]).all()):
        raise Unusable("holds rotations that are none, or numbers that are not finite")


def checksum(path: Path, count: int | None = None) -> str:
    """SHA-256 of a file, or of its first `count` bytes."""
    count = path.stat().st_size if count is None else count
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while count > 0 and (block := file.read(min(_BLOCK, count))):
            digest.update(block)
            count -= len(block)
    return digest.hexdigest()
