import pytest
import torch

from torchsag.fourier import low_pass
from torchsag.fourier.filters import raised_cosine


def test_raised_cosine_is_one_then_half_then_zero():
    radius = torch.tensor([0.0, 3.0, 4.0, 5.0, 9.0])
    torch.testing.assert_close(raised_cosine(radius, 4.0, 2.0), torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]))


def test_raised_cosine_without_an_edge_is_a_step():
    assert raised_cosine(torch.tensor([1.0, 2.0, 2.1]), 2.0, 0.0).tolist() == [1, 1, 0]


@pytest.mark.parametrize("n", [24, 25])
def test_low_pass_keeps_slow_waves_and_removes_fast_ones(n):
    axis = (torch.arange(n, dtype=torch.float64) - n // 2) / n
    slow, fast = torch.cos(2 * torch.pi * 2 * axis), torch.cos(2 * torch.pi * 9 * axis)
    volume = (slow + fast).expand(n, n, n)
    # 6 of n shells at 5 angstrom a voxel.
    kept = low_pass(volume, resolution_angstrom=n * 5.0 / 6, voxel_size=5.0)
    torch.testing.assert_close(kept, slow.expand(n, n, n), atol=1e-6, rtol=0)
