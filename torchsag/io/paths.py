"""Where a file is, as users say it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torchsag.errors import InputError


def as_path(argument: str, value: Any) -> Path:
    """The path that a text or a path names.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(value, (str, os.PathLike)):
        return Path(value)
    raise InputError(f"{argument}: expected a path, got {type(value).__name__}")
