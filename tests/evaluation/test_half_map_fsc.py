import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.evaluation.half_map_fsc import compare_half_maps
from torchsag.fourier import low_pass
from torchsag.imaging.masks import spherical_mask
from torchsag.particles import DensityMap

N = 48


def _half_maps(noise, seed=0):
    """A low-passed random structure inside a sphere, plus independent white noise."""
    generator = torch.Generator().manual_seed(seed)
    structure = low_pass(torch.randn(N, N, N, generator=generator), N * 5.0 / 8, 5.0) * spherical_mask((N, N, N), 10.0)
    structure = structure / structure.std()
    return [DensityMap(structure + noise * torch.randn(N, N, N, generator=generator), 5.0) for _ in range(2)]


def test_without_a_mask_all_curves_are_one():
    first, second = _half_maps(1.0)
    fsc = compare_half_maps(first, second)
    assert torch.equal(fsc.corrected, fsc.unmasked)
    assert fsc.resolution() == fsc.resolution(curve="unmasked")
    assert math.isinf(float(fsc.shell_resolutions()[0]))
    assert float(fsc.shell_resolutions()[8]) == pytest.approx(N * 5.0 / 8)


def test_a_mask_around_the_structure_raises_the_curve_and_keeps_noise_shells_down():
    first, second = _half_maps(3.0)
    fsc = compare_half_maps(first, second, spherical_mask((N, N, N), 13.0, 4.0))
    assert (fsc.masked[2:8] > fsc.unmasked[2:8]).all()
    assert float(fsc.corrected[12:].abs().mean()) < 0.15
    assert fsc.resolution() < fsc.resolution(curve="unmasked")


def test_a_mask_shared_by_pure_noise_is_found_out():
    # A sharp, tight mask correlates noise with noise; the corrected curve takes that away.
    first, second = (DensityMap(1.0 + 0.3 * torch.randn(N, N, N, generator=torch.Generator().manual_seed(s)), 5.0)
                     for s in (1, 2))  # fmt: skip
    mask = (spherical_mask((N, N, N), 8.0, 0.0) > 0.5).float()
    fsc = compare_half_maps(first, second, mask)
    beyond = slice(fsc.first_random_shell + 2, None)
    assert float(fsc.masked[beyond].mean()) > 0.3
    assert float(fsc.corrected[beyond].mean()) < 0.1


def test_resolution_ends_where_the_structure_does():
    fsc = compare_half_maps(*_half_maps(2.0), mask=spherical_mask((N, N, N), 13.0, 4.0))
    assert N * 5.0 / 15 < fsc.resolution(0.143) < N * 5.0 / 6
    assert fsc.resolution(0.5) >= fsc.resolution(0.143)


def test_curves_are_reproducible():
    first, second = _half_maps(1.0)
    mask = spherical_mask((N, N, N), 13.0)
    assert torch.equal(
        compare_half_maps(first, second, mask, seed=4).corrected,
        compare_half_maps(first, second, mask, seed=4).corrected,
    )


def test_maps_that_do_not_fit_are_refused():
    first, _ = _half_maps(1.0)
    with pytest.raises(InputError, match="same box and voxel size"):
        compare_half_maps(first, DensityMap(first.density, 6.0))
    with pytest.raises(InputError, match="mask: expected"):
        compare_half_maps(first, first, torch.ones(8, 8, 8))


def test_the_correction_never_raises_a_curve_and_depends_little_on_the_draw():
    mask = spherical_mask((N, N, N), 9.0, 2.0)
    changes = []
    for seed in range(4):
        halves = _half_maps(3.0, seed)
        one, other = (compare_half_maps(*halves, mask, draw) for draw in (seed, seed + 100))
        assert (one.corrected <= one.masked + 1e-6).all()
        changes.append(float((one.randomised - other.randomised)[one.first_random_shell + 2 :].abs().mean()))
    assert sum(changes) / 4 < 0.055  # 0.08 with a single draw
