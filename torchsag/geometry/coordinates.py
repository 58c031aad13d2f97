"""What functions of rotations, shifts and poses ask of a tensor that comes from outside, in one place."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry.precision import require_digits


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
    wanted = f"a tensor of shape [{', '.join(['...', *map(str, axes)])}]"
    if not isinstance(numbers, Tensor):
        raise InputError(
            f"{name}: expected {wanted}, got {type(numbers).__name__}; torch.as_tensor makes one of arrays and lists"
        )
    if not numbers.is_floating_point():
        raise InputError(f"{name}: expected {wanted} of real numbers, got {numbers.dtype}; .float() converts them")
    if tuple(numbers.shape[numbers.ndim - len(axes) :]) != axes:
        raise InputError(f"{name}: expected {wanted}, got shape {list(numbers.shape)}")
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
        If they are.
    """
    batches = list(one.shape[: one.ndim - axes[0]]), list(other.shape[: other.ndim - axes[1]])
    if batches[0] != batches[1]:
        raise InputError(f"{first} and {second}: expected as many of each, got {batches[0]} and {batches[1]}")
    if one.device != other.device:
        raise InputError(
            f"{first} and {second}: expected both on one device, got {one.device} and {other.device}; .to(device) moves"
        )
