"""Open files, and nothing else: reading a pipe waits for ever, and a device has no end."""

from __future__ import annotations

import logging
import os
import stat
from io import FileIO
from pathlib import Path

from torchsag.errors import InputError

_LOG = logging.getLogger(__name__)
# A set of particles is read many times over, and its files are alike: one of a folder speaks for those like it.
_SAID: set[tuple[Path, int]] = set()
_MOST_SAID = 64


def open_regular(path: Path) -> FileIO:
    """Open a file for reading, unbuffered.

    Raises
    ------
    InputError
        If there is none, it cannot be read, or it is a folder, a pipe, a socket or a device.
    """
    try:
        # Without O_NONBLOCK opening a pipe would wait for somebody to write to it.
        file = FileIO(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _no_file(path)
    return file


def require_regular(path: Path) -> None:
    """Refuse what exists and is neither a file nor a folder, before anything tries to read it.

    Raises
    ------
    InputError
        If it is a pipe, a socket or a device.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # whoever opens it has the sentence for that
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _no_file(path)


def say_longer(path: Path, extra: int) -> None:
    """Warn that a file goes on behind what its header promises: bytes may have got into it, and shifted the others."""
    key = (path.parent, extra)
    if key not in _SAID and len(_SAID) < _MOST_SAID:
        _SAID.add(key)
        _LOG.warning(
            "%s: %d bytes more than its header promises, which are not read; if no program adds them there, copy the "
            "file again", path, extra,
        )  # fmt: skip


def _no_file(path: Path) -> InputError:
    return InputError(f"{path}: expected a file, got a folder, a pipe or a device; give the name of a file")
