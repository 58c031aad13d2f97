"""What functions of rotations, shifts and poses ask of a tensor that comes from outside, in one place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry.precision import require_digits
from torchsag.requirements import require_tensor


def require_coordinates(name: str, numbers: Any, *axes: int) -> None:
    """Refuse what is no tensor of real numbers whose last axes have these lengths.

    Parameters
    ----------
    name
        How the sentence calls them.
    numbers
        What was given.
    axes
        Lengths of the last axes; none says that any shape will do.

    Raises
    ------
    InputError
        If they are none, or in half precision.
    """
    require_tensor(name, numbers, ("...", *axes))
    require_digits(name, numbers)


def require_partners(first: str, one: Tensor, second: str, other: Tensor, axes: tuple[int, int]) -> None:
    """Refuse two coordinates of poses that are not of as many poses each, or not on one device.

    Parameters
    ----------
    first, one, second, other
        Their names and values.
    axes
        How many of the last axes of each belong to one pose.

    Raises
    ------
    InputError
        If they are not.
    """
    batches = list(one.shape[: one.ndim - axes[0]]), list(other.shape[: other.ndim - axes[1]])
    if batches[0] != batches[1]:
        raise InputError(f"{first} and {second}: expected as many of each, got {batches[0]} and {batches[1]}")
    _require_one_device(first, one, second, other)


def require_broadcast(first: str, one: Tensor, second: str, other: Tensor, axes: tuple[int, int] = (2, 2)) -> None:
    """Refuse two coordinates whose batches do not broadcast, or that differ in device or precision.

    Parameters are those of `require_partners`.

    Raises
    ------
    InputError
        If they do.
    """
    batches = one.shape[: one.ndim - axes[0]], other.shape[: other.ndim - axes[1]]
    pairs = zip(reversed(batches[0]), reversed(batches[1]), strict=False)
    if any(a != b and 1 not in (a, b) for a, b in pairs):
        raise InputError(
            f"{first} and {second}: expected as many of each, or one of either, got {list(batches[0])} and "
            f"{list(batches[1])}"
        )
    if one.dtype != other.dtype:
        raise InputError(
            f"{first} and {second}: expected one precision, got {one.dtype} and {other.dtype}; .to(dtype) converts"
        )
    _require_one_device(first, one, second, other)


def destination(name: str, *args: Any, **kwargs: Any) -> tuple[torch.device | None, torch.dtype | None, bool]:
    """What the arguments of a method ``to`` say: device, precision, and whether not to wait; as torch's own take them.

    Raises
    ------
    InputError
        If they say nothing of the kind, or there is no such device.
    """
    try:
        device, dtype, non_blocking = torch._C._nn._parse_to(*args, **kwargs)[:3]  # pyright: ignore[reportAttributeAccessIssue]
    except (RuntimeError, TypeError):
        given = ", ".join([*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())])
        raise InputError(
            f"{name}: expected a device such as cpu or cuda:0, a precision such as torch.float64, or both, got {given}"
        ) from None
    if device is not None and device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"{name}: expected one of the {torch.cuda.device_count()} GPUs that torch finds, got {device}")
    return device, dtype, non_blocking


def _require_one_device(first: str, one: Tensor, second: str, other: Tensor) -> None:
    if one.device != other.device:
        raise InputError(
            f"{first} and {second}: expected both on one device, got {one.device} and {other.device}; .to(device) moves"
        )
