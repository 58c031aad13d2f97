"""Rows of a list by a number, a slice, numbers or a mask, as arrays are indexed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from torchsag.errors import InputError


def chosen_rows(index: Any, count: int, what: str) -> list[int]:
    """Row numbers 0 .. count - 1 that an index means; negative ones count from the end.

    Parameters
    ----------
    index
        A whole number, a slice, a sequence of whole numbers, or a mask of truth values.
    count
        Number of rows there are.
    what
        What the rows are, for messages.

    Raises
    ------
    IndexError
        If a row does not exist: what iteration ends with.
    InputError
        If the index is none of these, or a mask of another length.
    """
    if isinstance(index, slice):
        return list(range(*index.indices(count)))
    if hasattr(index, "tolist"):  # tensors and numpy's arrays and numbers
        index = index.tolist()
    listed = index if isinstance(index, Iterable) and not isinstance(index, str) else [index]
    rows: list[Any] = [row.item() if isinstance(row, Tensor) else row for row in listed]
    if rows and all(isinstance(row, bool) for row in rows):
        if len(rows) != count:
            raise InputError(f"{what}: expected a mask of {count} truth values, got {len(rows)}")
        return [row for row, kept in enumerate(rows) if kept]
    for row in rows:
        if isinstance(row, bool) or not hasattr(row, "__index__"):
            raise InputError(f"{what}: expected a whole number, a slice, whole numbers or a mask, got {row!r}")
        if not -count <= row < count:
            raise IndexError(f"{what}: there are {count}, so that number {row} does not exist")
    return [int(row) % count for row in rows]
