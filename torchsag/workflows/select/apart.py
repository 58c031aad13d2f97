"""Particles that keep a distance from each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor


def kept_apart(
    places: Float[Tensor, "particles 3"],
    tomograms: Sequence[str] | None,
    order: Integer[Tensor, " particles"],
    distance: float,
) -> list[int]:
    """Rows that stay, ascending, when of two nearer than `distance` in one tomogram the later in `order` goes.

    A particle goes only where one that stays is near, so that of a row of neighbours every other one is left.
    """
    from scipy.spatial import KDTree  # for those who need it

    rank = np.empty(len(order), dtype=np.int64)
    rank[order.numpy()] = np.arange(len(order))
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in range(len(places)):
        rows_of["" if tomograms is None else tomograms[row]].append(row)
    stays: list[int] = []
    for rows in rows_of.values():
        rows.sort(key=lambda row: int(rank[row]))
        here = places[torch.tensor(rows)].numpy()
        near = KDTree(here).query_ball_point(here, distance, eps=0)
        gone = np.zeros(len(rows), dtype=bool)
        for k, row in enumerate(rows):
            if not gone[k]:
                stays.append(row)
                others = [other for other in near[k] if np.linalg.norm(here[other] - here[k]) < distance]
                gone[[other for other in others if other > k]] = True
    return sorted(stays)
