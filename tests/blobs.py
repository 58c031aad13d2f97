"""A sum of Gaussian blobs: a density whose transform and its gradient are known exactly."""

import math
from dataclasses import dataclass

import torch

from torchsag.spectra.fourier_table import CHANNELS, FourierTable


@dataclass(frozen=True)
class Blobs:
    """Asymmetric, within `reach` voxels of the box centre."""

    box: int
    reach: float = 5.0
    sigma: float = 1.5

    @property
    def centres(self):
        draw = torch.rand(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        return self.reach / math.sqrt(3) * (2 * draw - 1)

    @property
    def masses(self):
        return torch.tensor([1.0, 0.7, 1.3, 0.5, 0.9, 1.1], dtype=torch.float64)

    def density(self):
        axis = torch.arange(self.box, dtype=torch.float64) - self.box // 2
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        away = (torch.stack([x, y, z], -1)[..., None, :] - self.centres).square().sum(-1)
        return (self.masses * torch.exp(-away / (2 * self.sigma**2))).sum(-1)

    def transform(self, points):
        """Value and gradient at Fourier indices (x, y, z), analytically."""
        u = points.double()
        wave = -2 * math.pi / self.box * (u @ self.centres.T)
        decay = torch.exp(-2 * (math.pi * self.sigma / self.box) ** 2 * u.square().sum(-1))
        envelope = self.masses * (2 * math.pi * self.sigma**2) ** 1.5 * decay[..., None]
        parts = torch.polar(envelope, wave)
        slope = -4 * (math.pi * self.sigma / self.box) ** 2 * u[..., None, :] - 2j * math.pi / self.box * self.centres
        return parts.sum(-1), (parts[..., None] * slope).sum(-2)


@dataclass(frozen=True)
class BlobTable(FourierTable):
    """A table without interpolation: derivatives are exact, so that finite differences can be compared closely."""

    blobs: Blobs = Blobs(16)

    @staticmethod
    def of(blobs: Blobs, max_shell: int) -> "BlobTable":
        return BlobTable(torch.zeros(1, 1, 1, CHANNELS, dtype=torch.float64), 2, max_shell, blobs.box, blobs)

    def lookup(self, points):
        return self.blobs.transform(points)
