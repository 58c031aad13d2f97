"""What is asked of arguments that come from outside: kinds, numbers, sizes and tensors, each in one sentence."""

from __future__ import annotations

import math
import numbers
from typing import Any

from torch import Tensor

from torchsag.errors import InputError

Axes = tuple[str | int, ...]
"""Of a tensor: a number is the length an axis must have, a word says what an axis is; ``...`` first, any others."""


def is_real(value: Any) -> bool:
    """Whether this is a number, and no truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether this is a whole number, and no truth value."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def require_whole(name: str, value: Any, lowest: int = 0) -> None:
    """Refuse all but whole numbers from `lowest` on.

    Raises
    ------
    InputError
        Naming the argument.
    """
    if not is_whole(value) or value < lowest:
        raise InputError(f"{name}: expected a whole number of at least {lowest}, got {value!r}")


def require_positive(name: str, value: Any, meaning: str = "a number") -> None:
    """Refuse all but finite numbers above 0.

    Raises
    ------
    InputError
        Naming the argument.
    """
    if not is_real(value) or not 0 < value < math.inf:
        raise InputError(f"{name}: expected {meaning} above 0, got {value!r}")


def require_kind(name: str, value: Any, kind: type | tuple[type, ...], wanted: str, hint: str = "") -> None:
    """Refuse what is not of a class, or of one of several.

    Raises
    ------
    InputError
        Naming the argument.
    """
    if not isinstance(value, kind):
        raise InputError(f"{name}: expected {wanted}, got {type(value).__name__}{f'; {hint}' if hint else ''}")


def require_box(name: str, box: Any) -> None:
    """Refuse all but three whole numbers of voxels.

    Raises
    ------
    InputError
        Naming the argument.
    """
    if not isinstance(box, (tuple, list)) or len(box) != 3 or not all(is_whole(n) and n > 0 for n in box):
        raise InputError(f"{name}: expected a box of three numbers of voxels (z, y, x), got {box!r}")


def require_tensor(name: str, tensor: Any, axes: Axes, kind: str = "real") -> None:
    """Refuse what is no tensor of these axes.

    Parameters
    ----------
    name
        How the sentence calls it.
    tensor
        What was given.
    axes
        See `Axes`.
    kind
        Of its numbers: ``real``, ``complex`` or ``whole``.

    Raises
    ------
    InputError
        Naming the argument.
    """
    wanted = f"a tensor [{', '.join(map(str, axes))}]"
    if not isinstance(tensor, Tensor):
        raise InputError(
            f"{name}: expected {wanted}, got {type(tensor).__name__}; torch.as_tensor makes one of arrays and lists"
        )
    floating, complex_ = tensor.is_floating_point(), tensor.is_complex()
    if {"real": floating, "complex": complex_, "whole": not floating and not complex_}[kind] is False:
        raise InputError(f"{name}: expected {wanted} of {kind} numbers, got {tensor.dtype}")
    last = axes[1:] if axes[:1] == ("...",) else axes
    fits = tensor.ndim >= len(last) if last is not axes else tensor.ndim == len(last)
    lengths = tensor.shape[tensor.ndim - len(last) :] if fits else ()
    if not fits or any(isinstance(n, int) and n != length for n, length in zip(last, lengths, strict=True)):
        raise InputError(f"{name}: expected {wanted}, got shape {list(tensor.shape)}")
