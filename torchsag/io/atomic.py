"""Files appear under their final name only when they are complete."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from torchsag.errors import InputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def cannot_write(path: Path | str, error: OSError) -> InputError:
    """What to tell a person whose file or folder could not be written."""
    advice = "choose another folder"
    if is_full(error):
        advice = "free some space and repeat the command"
    return InputError(f"{path}: cannot be written ({error.strerror or error}); {advice}")


def is_full(error: OSError) -> bool:
    """Whether a disk, a quota or a limit on file sizes is exhausted."""
    return error.errno in _FULL


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    A killed process leaves at most a hidden ``.<name>.<random>.tmp``; an earlier file at `path` stays untouched.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # gone already, or its folder never came to be
            temporary.unlink()


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in one piece, UTF-8."""
    with atomic_path(path) as temporary:
        # Names that are not UTF-8 go out as the bytes they came in with.
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
