"""How far two divisions of the same particles agree, whatever their classes are called."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError


def confusion(
    first: Integer[Tensor, " particles"], second: Integer[Tensor, " particles"]
) -> Float[Tensor, "first_classes second_classes"]:
    """Particles in each pair of classes; rows and columns in the order of the class numbers.

    Raises
    ------
    InputError
        If the two differ in length.
    """
    if len(first) != len(second) or len(first) == 0:
        raise InputError(f"classes: expected two labels for each particle, got {len(first)} and {len(second)}")
    rows, row = first.unique(return_inverse=True)
    columns, column = second.unique(return_inverse=True)
    table = torch.zeros(len(rows), len(columns), dtype=torch.float64)
    return table.index_put_((row, column), torch.ones(len(row), dtype=torch.float64), accumulate=True)


def adjusted_rand_index(first: Integer[Tensor, " particles"], second: Integer[Tensor, " particles"]) -> float:
    """1 for the same division, 0 in the mean for divisions that have nothing to do with each other.

    Source: Hubert & Arabie 1985, J. Classif. 2:193, equation 5.
    """
    table = confusion(first, second)
    together = _pairs(table).sum()
    rows, columns = _pairs(table.sum(1)).sum(), _pairs(table.sum(0)).sum()
    expected = rows * columns / _pairs(table.sum()).clamp_min(1)
    most = (rows + columns) / 2
    return 1.0 if float(most - expected) == 0 else float((together - expected) / (most - expected))


def matched(
    labels: Integer[Tensor, " particles"], reference: Integer[Tensor, " particles"]
) -> Integer[Tensor, " particles"]:
    """The first division with its classes renamed after the classes of the second that they share most members with.

    Classes left over, where there are more, get new numbers.
    """
    from scipy.optimize import linear_sum_assignment  # brings much of scipy along: for those who need it

    table = confusion(labels, reference).numpy()
    rows, columns = linear_sum_assignment(-table)
    own, index = labels.unique(return_inverse=True)
    names = reference.unique()
    fresh = int(names.max()) + 1 + np.arange(len(own))
    name = torch.from_numpy(fresh).to(labels.dtype)
    name[torch.from_numpy(rows)] = names[torch.from_numpy(columns)].to(labels.dtype)
    return name[index]


def _pairs(count: Tensor) -> Tensor:
    return count * (count - 1) / 2
