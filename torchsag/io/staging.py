"""Copies of particle files on a disk of this host, made when a file is first read.

A cluster's shared file system is slow at many small files; an averaging run reads each of them once per iteration.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.atomic import atomic_path
from torchsag.particles import DensitySource, ParticleSet, VolumeReader

_log = logging.getLogger(__name__)


def staged(particles: ParticleSet, folder: str | None) -> ParticleSet:
    """The same particles, read through copies in `folder`; None reads them where they are."""
    if folder is None:
        return particles
    return replace(particles, reader=StagedReader(particles.reader, Path(folder)))


@dataclass(frozen=True)
class StagedReader:
    """A `VolumeReader` that reads from the copy, and from the original where there can be none.

    Attributes
    ----------
    reader
        Reads a volume.
    folder
        Below it the copies are kept, on a disk of this host, in a folder of the user's own that nobody else can write
        to or read; the processes of one host share them. It is left behind: clusters clear a job's own folder
        (``$TMPDIR``) when it ends.
    """

    reader: VolumeReader
    folder: Path
    _given_up: list[str] = field(default_factory=list, repr=False, compare=False)

    def __call__(self, source: DensitySource) -> Float[Tensor, "z y x"]:
        """See `VolumeReader`."""
        if self._given_up:
            return self.reader(source)
        try:
            return self.reader(replace(source, path=self._copy(source.path)))
        except (OSError, InputError):
            return self.reader(source)  # which has the original's name to say what is wrong with it

    @property
    def _private(self) -> Path:
        return self.folder / f"torchsag-{os.geteuid()}"

    def _copy(self, original: Path) -> Path:
        status = original.stat()
        mark = f"{original.resolve()} {status.st_size} {status.st_mtime_ns}"
        copy = self._private / f"{hashlib.sha256(mark.encode()).hexdigest()[:24]}{original.suffix}"
        try:
            _make_private(self._private)
            if copy.is_file():
                return copy
            with (self._private / f"{copy.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # of a stack that several processes want, one makes the copy
                if not copy.exists():
                    with atomic_path(copy) as temporary:
                        shutil.copyfile(original, temporary)
            Path(lock.name).unlink(missing_ok=True)
        except (OSError, InputError) as error:
            self._given_up.append(str(error))
            _log.warning("staging=%s: %s; particles are read where they are", self.folder, error)
            raise
        return copy


def _make_private(folder: Path) -> None:
    """A folder that only this user can write to; one that somebody else put there, or a link, is not used.

    In a folder that all may write to, such as ``/tmp``, others could prepare links for the copies to follow.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise InputError(f"{folder}: expected a folder of your own that nobody else can write to; remove it")
