"""Orientations as a density over the sphere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from torchsag.geometry import Symmetry

_ROWS, _COLUMNS = 30, 60  # of equal area
# Width of the kernel that makes counts a density.
_WIDTH_DEG = 12.0
# A direction lacks views below this part of the mean.
_FEW = 0.1


@dataclass(frozen=True)
class ViewDensity:
    """How often the beam passed through the structure along each direction, by the mean over the sphere.

    Attributes
    ----------
    density
        ``[rows, columns]``, rows of equal height along z from -1 to 1, columns of equal longitude from -180 degrees.
    """

    density: np.ndarray

    @staticmethod
    def of(longitude_deg: np.ndarray, latitude_deg: np.ndarray, symmetry: Symmetry) -> ViewDensity:
        """From directions in the structure's frame, expanded by its symmetry; rows that are not finite are left out.

        A beam from the opposite side sees the same, so that both count.
        """
        finite = np.isfinite(longitude_deg) & np.isfinite(latitude_deg)
        around, up = np.radians(longitude_deg[finite]), np.radians(latitude_deg[finite])
        seen = np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], -1)
        counts = np.zeros(_ROWS * _COLUMNS)
        for rotation in symmetry.rotations.double().numpy():
            for side in (1, -1):
                turned = side * seen @ rotation.T
                row, column = ViewDensity.cell(turned[:, 2], np.arctan2(turned[:, 1], turned[:, 0]))
                counts += np.bincount(row * _COLUMNS + column, minlength=len(counts))
        density = counts @ _kernel()
        return ViewDensity((density / max(density.mean(), 1e-30)).reshape(_ROWS, _COLUMNS))

    @property
    def lacking(self) -> np.ndarray:
        """Cells with less than a tenth of the mean."""
        return self.density < _FEW

    @property
    def lacking_part(self) -> float:
        """Of the sphere; cells are of equal area."""
        return float(self.lacking.mean())

    @staticmethod
    def cell(sine_of_latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of directions, longitude in radians."""
        row = ((sine_of_latitude + 1) / 2 * _ROWS).astype(int)
        column = ((longitude / (2 * np.pi) + 0.5) * _COLUMNS).astype(int)
        return np.clip(row, 0, _ROWS - 1), np.clip(column, 0, _COLUMNS - 1)

    @staticmethod
    def edges() -> tuple[np.ndarray, np.ndarray]:
        """Of the cells: longitude and latitude, radians."""
        return np.linspace(-np.pi, np.pi, _COLUMNS + 1), np.arcsin(np.linspace(-1, 1, _ROWS + 1))


@lru_cache(maxsize=1)
def _kernel() -> np.ndarray:
    """The von Mises-Fisher kernel between all cells; columns add up to the same for every row."""
    height = (np.arange(_ROWS) + 0.5) / _ROWS * 2 - 1
    around = ((np.arange(_COLUMNS) + 0.5) / _COLUMNS - 0.5) * 2 * np.pi
    level = np.sqrt(1 - height**2)
    cells = np.stack(
        [np.outer(level, np.cos(around)), np.outer(level, np.sin(around)), np.outer(height, np.ones(_COLUMNS))], -1
    ).reshape(-1, 3)
    weights = np.exp((cells @ cells.T - 1) / np.radians(_WIDTH_DEG) ** 2)
    return weights / weights.sum(1, keepdims=True)
