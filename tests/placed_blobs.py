"""A structure whose placed volumes are known in closed form: a sum of Gaussian blobs."""

from dataclasses import dataclass

import pytest
import torch

from torchsag.fourier import from_half_spectrum, to_half_spectrum
from torchsag.geometry import Poses
from torchsag.imaging.wedge import missing_wedge
from torchsag.particles import ParticleBatch


@dataclass(frozen=True)
class Blobs:
    """`centres` [blobs, 3] in voxels (x, y, z) from the centre, `heights` [blobs], common `width`."""

    centres: torch.Tensor
    heights: torch.Tensor
    width: float = 1.5

    def volumes(self, poses: Poses, n: int) -> torch.Tensor:
        """The structure at each pose, sampled exactly."""
        where = torch.einsum("pij,gj->pgi", poses.rotations.double(), self.centres) + poses.shifts.double()[:, None]
        axis = torch.arange(n, dtype=torch.float64) - n // 2
        x, y, z = (torch.exp(-((axis - where[..., i, None]) ** 2) / (2 * self.width**2)) for i in range(3))
        return torch.einsum("g,pgz,pgy,pgx->pzyx", self.heights, z, y, x).float()

    def map(self, n: int) -> torch.Tensor:
        """The structure as it stands."""
        return self.volumes(Poses.identity(1), n)[0]

    def particles(self, poses: Poses, n: int, tilt_deg: float = 90.0, noise: float = 0.0, seed: int = 0):
        """Particles in canonical form; `noise` is the standard deviation per voxel of the white noise added."""
        wedge = missing_wedge((n, n, n), -float(tilt_deg), float(tilt_deg))[None]
        volumes = self.volumes(poses, n)
        volumes = volumes + noise * torch.randn(volumes.shape, generator=torch.Generator().manual_seed(seed))
        volumes = from_half_spectrum(to_half_spectrum(volumes) * wedge, (n, n, n))
        index = torch.zeros(len(poses), dtype=torch.long)
        names = tuple(f"particle {i}" for i in range(len(poses)))
        return ParticleBatch.from_volumes(volumes, wedge, index, names, 6.0, poses)


@pytest.fixture
def blobs():
    """A function that makes an asymmetric structure of a given radius (voxels)."""

    def make(radius: float = 8.0, count: int = 40, seed: int = 0) -> Blobs:
        generator = torch.Generator().manual_seed(seed)
        direction = torch.randn(count, 3, generator=generator, dtype=torch.float64)
        distance = radius * torch.rand(count, 1, generator=generator, dtype=torch.float64) ** (1 / 3)
        heights = torch.rand(count, generator=generator, dtype=torch.float64) + 0.5
        return Blobs(direction / direction.norm(dim=1, keepdim=True) * distance, heights)

    return make
