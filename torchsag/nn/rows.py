"""What belongs to some of a layer's particles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchsag.errors import InputError


def rows(name: str, values: Tensor, index: Any) -> Tensor:
    """The values of some particles, by a number, a slice, numbers or a mask.

    Parameters
    ----------
    name
        How the sentence calls what is chosen from.
    values
        One row for each particle.
    index
        Which; a list is taken as a tensor of its numbers.

    Raises
    ------
    InputError
        If there are no such particles.
    """
    try:
        return values[torch.as_tensor(index) if isinstance(index, (list, range)) else index]
    except (TypeError, IndexError, ValueError, RuntimeError):
        raise InputError(
            f"{name}: expected index to be numbers from 0 to {len(values) - 1}, a slice, or a mask of {len(values)} "
            f"truth values, got {index!r:.80}"
        ) from None
