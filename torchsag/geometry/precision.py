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

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def exact_product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product in the precision of its factors, also under autocast."""
    kind = left.device.type
    if not torch.is_autocast_enabled(kind):
        return left @ right
    with torch.autocast(kind, enabled=False):
        return left @ right


def exact(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function outside of autocast."""

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return function(*args, **kwargs)

    return run
