"""Where a run writes: results appear under their final names complete, or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchsag.errors import InputError

_STAGING = ".staging"


@contextmanager
def claim(folder: Path) -> Iterator[Path]:
    """Create the folder if need be, make sure it can be written, and keep other runs out of it meanwhile.

    Raises
    ------
    InputError
        If the folder cannot be created or written, or another run is using it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _STAGING).mkdir(exist_ok=True)
        (folder / _STAGING).rmdir() if not any((folder / _STAGING).iterdir()) else shutil.rmtree(folder / _STAGING)
    except OSError as error:
        raise InputError(
            f"out={folder}: expected a folder that can be written, got: {error.strerror}; choose another out="
        ) from error
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield folder
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"out={folder}: another run is writing there; wait for it to end or choose another out="
        ) from error
    except OSError:
        return  # some network file systems have no locks; the run itself does not depend on them


@contextmanager
def publish(folder: Path) -> Iterator[Path]:
    """A hidden folder to write results in; when the block ends well they are moved to `folder` under their names.

    Files that were there before stay as they are until then, and for good if the block fails.
    """
    staging = folder / _STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        for path in sorted(staging.rglob("*")):
            final = folder / path.relative_to(staging)
            if path.is_dir():
                final.mkdir(exist_ok=True)
            else:
                os.replace(path, final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
