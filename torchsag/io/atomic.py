"""Files appear under their final name only when they are complete."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from torchsag.errors import InputError

_TEMPORARY = re.compile(r"\..*\.([0-9a-f]{8})-([0-9]+)-[0-9a-f]{8}\.tmp", re.DOTALL)
_SECONDS_A_DAY = 86_400.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What a kernel says of a file system that it has mounted read-only after an error or no longer reaches, and of a folder
# whose rights are gone.
_LOST = {errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EACCES, errno.EPERM}


def cannot_write(path: Path | str, error: OSError) -> InputError:
    """What to tell a person whose file or folder could not be written."""
    advice = "choose another folder"
    if is_full(error):
        advice = "free some space and repeat the command"
    return InputError(f"{path}: cannot be written ({error.strerror or error}); {advice}")


def is_full(error: OSError) -> bool:
    """Whether a disk, a quota or a limit on file sizes is exhausted."""
    return error.errno in _FULL


def is_of_the_disk(error: OSError) -> bool:
    """Whether a disk is full, or can no longer be written for another reason that lies outside of this program."""
    return error.errno in _FULL | _LOST


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    A killed process leaves at most a hidden ``.<name>.<host>-<process>-<random>.tmp``, which `remove_remains` knows; an
    earlier file at `path` stays untouched.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:150]}.{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # gone already, or its folder never came to be
            temporary.unlink()


def remove_remains(folder: Path, below: bool = True) -> None:
    """Remove temporary files that killed processes left in a folder and, unless told otherwise, below it.

    A process of this host is asked for; of another host's, files that have not changed for a day are remains.
    """
    for path in folder.rglob(".*.tmp") if below else folder.glob(".*.tmp"):
        named = _TEMPORARY.fullmatch(path.name)
        if named is None:
            continue
        with suppress(OSError):
            ours, old = named[1] == _host(), time.time() - path.lstat().st_mtime > _SECONDS_A_DAY
            if (ours and not _is_alive(int(named[2]))) or (not ours and old):
                path.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@functools.cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in one piece, UTF-8."""
    with atomic_path(path) as temporary:
        # Names that are not UTF-8 go out as the bytes they came in with.
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
