"""Arrays as users have them, checked and converted where they come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchsag.errors import InputError


def as_float32(argument: str, values: Any, axes: tuple[str, ...]) -> Tensor:
    """An array, tensor or nested list of numbers as a float32 tensor on the CPU with these axes.

    Raises
    ------
    InputError
        Naming `argument`, if it is something else.
    """
    wanted = f"an array [{', '.join(axes)}] of real numbers"
    if isinstance(values, Tensor):
        tensor = values.detach().cpu()
    else:
        try:
            array = np.asarray(values)
            if array.dtype.kind not in "biufc":
                raise TypeError
            tensor = torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
        except (TypeError, ValueError):
            raise InputError(f"{argument}: expected {wanted}, got {type(values).__name__}") from None
    if tensor.is_complex():
        raise InputError(f"{argument}: expected {wanted}, got {tensor.dtype}; give volumes in real space")
    if tensor.ndim != len(axes):
        hint = f"; add the axis of {axes[0]} with [None]" if tensor.ndim == len(axes) - 1 else ""
        raise InputError(f"{argument}: expected {wanted}, got an array of shape {list(tensor.shape)}{hint}")
    return tensor.to(torch.float32)


def as_voxel_size(value: Any) -> float:
    """A voxel size in angstrom.

    Raises
    ------
    InputError
        If it is no number above 0.
    """
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not 0 < float(value) < float("inf"):
        raise InputError(f"voxel_size: expected a number of angstrom above 0, got {value!r}")
    return float(value)
