"""What a volume file says about itself, whatever its format."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class VolumeHeader:
    """Size and scale of the volumes in a file.

    Attributes
    ----------
    shape
        Size (z, y, x) of one volume, voxels, after the file's axes have been brought to that order.
    count
        Number of volumes in the file.
    voxel_sizes
        Angstrom per voxel along (x, y, z); zero where the file does not say.
    images
        Sections of the file, if each is taken as an image of ``shape[1:]``; zero where they cannot be.
    origin
        Where the first voxel lies, angstrom, (x, y, z).
    """

    shape: tuple[int, int, int]
    count: int = 1
    voxel_sizes: tuple[float, float, float] = (0.0, 0.0, 0.0)
    images: int = 0
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def voxel_size(self) -> float | None:
        """The voxel size (angstrom) where the file gives one, the same along x, y and z to one part in a thousand."""
        low, high = min(self.voxel_sizes), max(self.voxel_sizes)
        if not (math.isfinite(high) and low > 0 and high - low <= 1e-3 * high):
            return None
        # Cell lengths are float32: 12 angstrom may come back as 11.9999998.
        return float(f"{sum(self.voxel_sizes) / 3:.6g}")
