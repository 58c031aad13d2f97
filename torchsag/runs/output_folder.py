"""Where a run writes: results appear under their final names complete, or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io import cannot_write, is_of_the_disk, remove_remains

_STAGING = ".staging"
_LONGEST_RECORD = 1 << 30


@contextmanager
def claim(folder: Path, together: bool = False, command: str = "") -> Iterator[Path]:
    """Create the folder if need be, make sure it can be written, and keep other runs out of it meanwhile.

    Parameters
    ----------
    folder
        Where the run writes.
    together
        Whether other runs that say so too may write there at the same time.
    command
        What is going to write there: results of another command are not overwritten. Empty asks for nothing.

    Raises
    ------
    InputError
        If the folder cannot be created or written, holds another command's results, another run is using it, or the
        disk fills up, or can no longer be written, while it is held.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        _lock(handle, folder, together)
        _refuse_others_results(folder, command)
        _try_to_write(folder)
        remove_remains(folder)
        yield folder
    except OSError as error:
        if not is_of_the_disk(error):
            raise
        raise cannot_write(f"out={folder}", error) from error
    finally:
        os.close(handle)


def require_room(folder: Path, size: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Parameters
    ----------
    folder
        Where the run writes; it exists.
    size
        Bytes that the run is going to write.

    Raises
    ------
    InputError
        If there is less room than that.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise InputError(
            f"out={folder}: expected {size / 1e6:.0f} MB of free disk space for the results, got {free / 1e6:.0f} MB; "
            "free some space or choose another out="
        )


def _try_to_write(folder: Path) -> None:
    """A folder of its own in it, and the remains of a killed run out of it."""
    trial = folder / f".trial-{uuid.uuid4().hex[:8]}"
    try:
        trial.mkdir()
        trial.rmdir()
        shutil.rmtree(folder / _STAGING, ignore_errors=True)
    except OSError as error:
        raise _unusable(folder, error) from error


def _refuse_others_results(folder: Path, command: str) -> None:
    """Files of two commands in one folder would be taken for those of one."""
    record = folder / "metrics.json"
    if not command or not record.is_file() or record.stat().st_size > _LONGEST_RECORD:
        return
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        other = found["command"] if isinstance(found, dict) and "command" in found else command
    except (ValueError, RecursionError):
        return  # damaged: nothing to lose
    if isinstance(other, str) and other != command:
        raise InputError(
            f"out={folder}: expected an empty folder or earlier results of {command}, got results of {other}; choose "
            "another out=, or remove them first"
        )


def _unusable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"out={folder}: expected a folder that can be written, got: {error.strerror}; choose another out="
    )


def _lock(handle: int, folder: Path, together: bool) -> None:
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if together else fcntl.LOCK_EX) | fcntl.LOCK_NB)
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
