import pytest
import torch

from torchsag.errors import InputError
from torchsag.evaluation.local_resolution import local_resolution
from torchsag.fourier import low_pass
from torchsag.particles import DensityMap

N, VOXEL = 48, 4.0


def test_each_side_of_a_map_gets_its_own_resolution():
    """Left: detail common to both down to 10 angstrom. Right: to 24. Beyond, each half has its own."""
    generator = torch.Generator().manual_seed(0)
    common, *own = (torch.randn(N, N, N, generator=generator) for _ in range(3))
    left = (torch.arange(N) < N // 2).float()

    def half(noise):
        parts = [low_pass(common, cut, VOXEL) + noise - low_pass(noise, cut, VOXEL) for cut in (10.0, 24.0)]
        return DensityMap(parts[0] * left + parts[1] * (1 - left), VOXEL)

    local = local_resolution(half(own[0]), half(own[1])).density
    fine, coarse = local[:, :, 8:16].median(), local[:, :, 32:40].median()
    assert 8.5 < float(fine) < 11.5
    assert 20.0 < float(coarse) < 28.0


def test_noise_has_none_and_a_map_beside_itself_the_best():
    generator = torch.Generator().manual_seed(1)
    first, second = (DensityMap(torch.randn(N, N, N, generator=generator), VOXEL) for _ in range(2))
    assert float(local_resolution(first, second).density.median()) > 0.5 * N * VOXEL / 2
    assert float(local_resolution(first, first).density.max()) == pytest.approx(2 * VOXEL)


def test_maps_of_different_boxes_are_refused():
    with pytest.raises(InputError, match="one box"):
        local_resolution(DensityMap(torch.randn(8, 8, 8), 1.0), DensityMap(torch.randn(9, 9, 9), 1.0))
