"""Assembled tilt stacks kept in a folder, so that the second reading of a particle is that of a volume."""

from __future__ import annotations

import hashlib
import io
import logging
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from torchsag.damaged_arrays import DAMAGED_ARRAYS
from torchsag.errors import InputError
from torchsag.io.atomic import atomic_path
from torchsag.particles import Assembled, TiltStack

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class AssemblyFolder:
    """An `AssemblyStore` on disk that all processes of a run share; it makes its folder when the first volume comes.

    A volume is kept under everything it follows from, the size and the time of change of the images included. What
    cannot be kept, for example because the disk is full, is assembled again each time, and so is what has been damaged.

    Attributes
    ----------
    folder
        Where the volumes are; whoever made the store removes it.
    """

    folder: Path
    _given_up: list[str] = field(default_factory=list, repr=False, compare=False)

    def get(self, stack: TiltStack) -> Assembled | None:
        """See `AssemblyStore`."""
        try:
            data = self._path(stack).read_bytes()
            if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "big"):
                return None
            kept = np.load(io.BytesIO(data[:-4]), allow_pickle=False)
        except DAMAGED_ARRAYS:
            return None
        n = round(float(kept[0])) if kept.ndim == 1 and len(kept) else 0
        half = n * n * (n // 2 + 1)
        if len(kept) != 1 + n**3 + 2 * half:
            return None
        volume, weight, noise = torch.from_numpy(kept[1:]).split([n**3, half, half])
        shape = (n, n, n // 2 + 1)
        return Assembled(volume.reshape(n, n, n), weight.reshape(shape), noise.reshape(shape))

    def put(self, stack: TiltStack, assembled: Assembled) -> None:
        """See `AssemblyStore`."""
        if self._given_up:
            return
        size = torch.tensor([float(assembled.volume.shape[0])])
        parts = [size, assembled.volume.flatten(), assembled.weight.flatten(), assembled.noise.flatten()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(self._path(stack)) as temporary, temporary.open("wb") as file:
                whole = io.BytesIO()
                np.save(whole, torch.cat(parts).float().numpy(), allow_pickle=False)
                file.write(whole.getvalue() + zlib.crc32(whole.getvalue()).to_bytes(4, "big"))
        except (OSError, InputError) as error:
            self._given_up.append(str(error))
            _LOG.warning("%s: %s; tilt stacks are assembled each time they are read", self.folder, error)

    def _path(self, stack: TiltStack) -> Path:
        status = stack.path.stat()
        mark = f"{stack.digest()} {status.st_size} {status.st_mtime_ns}"
        return self.folder / f"{hashlib.sha256(mark.encode()).hexdigest()[:32]}.npy"
