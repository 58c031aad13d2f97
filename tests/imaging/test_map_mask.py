import pytest
import torch

from torchsag.errors import InputError
from torchsag.imaging.map_mask import mask_from_map, otsu_threshold
from torchsag.imaging.masks import centred_radius, spherical_mask

N = 40


def _ball_in_noise(radius=9.0, noise=0.5):
    generator = torch.Generator().manual_seed(0)
    return spherical_mask((N, N, N), radius, 2.0) + noise * torch.randn(N, N, N, generator=generator)


def test_mask_covers_the_particle_and_leaves_the_rest_out():
    mask = mask_from_map(_ball_in_noise(), 5.0, low_pass_angstrom=40.0, grow=3.0, edge=4.0)
    radius = centred_radius((N, N, N))
    assert float(mask.min()) >= 0
    assert float(mask[radius < 8].min()) == 1
    assert float(mask[radius > 19].max()) == 0


def test_edge_is_soft_and_as_wide_as_asked():
    mask = mask_from_map(_ball_in_noise(noise=0.0), 5.0, low_pass_angstrom=11.0, grow=2.0, edge=5.0)
    row = mask[N // 2, N // 2, N // 2 :]
    assert (row[:-1] >= row[1:] - 1e-6).all()
    soft = int(((row > 0.001) & (row < 0.999)).sum())
    assert 3 <= soft <= 6


def test_specks_and_neighbours_are_left_out():
    density = _ball_in_noise(noise=0.0)
    density[4:8, 18:22, 18:22] = 2.0
    mask = mask_from_map(density, 5.0, low_pass_angstrom=15.0, grow=1.0, edge=2.0)
    assert float(mask[5, 20, 20]) == 0
    assert float(mask[20, 20, 20]) == 1


def test_otsu_splits_two_classes_between_them():
    generator = torch.Generator().manual_seed(1)
    values = torch.cat([torch.randn(9000, generator=generator), 8 + torch.randn(1000, generator=generator)])
    assert 3 < otsu_threshold(values) < 6


def test_a_threshold_above_everything_is_refused():
    with pytest.raises(InputError, match="mask: expected density above the threshold 50"):
        mask_from_map(_ball_in_noise(), 5.0, 40.0, threshold=50.0)
