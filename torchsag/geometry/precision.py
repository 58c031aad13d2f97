"""Coordinates keep their digits under `torch.autocast`, whatever networks around them do.

Half precision has three digits: a rotation of so many displaces what is 30 voxels from the centre by a tenth of a
voxel. Products of matrices are what autocast lowers, so those of coordinates are taken outside of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from torchsag.errors import InputError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def exact_product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product in the precision of its factors, also under autocast, and in a backward pass that runs there.

    Meant for coordinates, of which a product sums three: under autocast they are multiplied one by one, as the gradient
    of a matrix product would be lowered by the autocast around the *backward* pass, wherever the product was taken.
    """
    if not torch.is_autocast_enabled(left.device.type):
        return left @ right
    products = [left[..., :, k, None] * right[..., None, k, :] for k in range(left.shape[-1])]
    return sum(products[1:], products[0])


def require_digits(name: str, numbers: Tensor) -> None:
    """Refuse coordinates in half precision.

    Raises
    ------
    InputError
        If they are, as what a network gives under autocast.
    """
    if numbers.dtype in (torch.bfloat16, torch.float16):
        raise InputError(
            f"{name}: expected float32 or float64, got {numbers.dtype}; what a network gives under autocast needs "
            ".float(), and a last layer outside of autocast if its digits shall mean anything"
        )


def exact(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function outside of autocast, and with single precision as torch's default.

    What computes in single precision throughout would otherwise meet numbers of the default that a user has set.
    """

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        default = torch.get_default_dtype()
        if default != torch.float32:
            torch.set_default_dtype(torch.float32)
        try:
            with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
                return function(*args, **kwargs)
        finally:
            if default != torch.float32:
                torch.set_default_dtype(default)

    return run
