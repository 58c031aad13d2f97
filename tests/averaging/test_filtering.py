import math

import pytest
import torch

from torchsag.averaging.filtering import (
    estimate_b_factor,
    figure_of_merit,
    filter_locally,
    full_map_fsc,
    reference_weight,
    sharpen,
    weigh_shells,
    wiener_weight,
)
from torchsag.errors import InputError
from torchsag.fourier import fourier_shell_correlation, shell_sums, to_half_spectrum
from torchsag.fourier.filters import raised_cosine
from torchsag.particles import DensityMap


def _noise(n, *seeds):
    return [torch.randn(n, n, n, generator=torch.Generator().manual_seed(s)) for s in seeds]


def test_whole_map_correlates_with_the_truth_as_the_formula_says():
    n = 32
    signal, first, second = _noise(n, 0, 1, 2)
    halves = [to_half_spectrum(signal + 1.5 * noise) for noise in (first, second)]
    fsc = fourier_shell_correlation(halves[0], halves[1], (n, n, n))
    truth = fourier_shell_correlation((halves[0] + halves[1]) / 2, to_half_spectrum(signal), (n, n, n))
    error = (full_map_fsc(fsc).sqrt() - truth)[6:]
    assert float(error.abs().mean()) < 0.02


def test_wiener_weight_is_the_least_squares_factor_of_the_whole_map():
    n = 32
    signal, first, second = _noise(n, 3, 4, 5)
    halves = [to_half_spectrum(signal + noise) for noise in (first, second)]
    whole, truth = (halves[0] + halves[1]) / 2, to_half_spectrum(signal)
    box = (n, n, n)
    best = shell_sums((whole * truth.conj()).real, box) / shell_sums(whole.abs() ** 2, box)
    weight = wiener_weight(fourier_shell_correlation(halves[0], halves[1], box))
    assert float((weight - best)[6:].abs().mean()) < 0.03


def test_weights_end_where_the_curve_ends():
    fsc = torch.tensor([1.0, 0.9, 0.5, 0.1, 0.5, -0.2, 0.5])
    assert figure_of_merit(fsc)[2] == pytest.approx(math.sqrt(2 / 3))
    assert figure_of_merit(fsc)[3:].tolist() == [0, 0, 0, 0]
    assert (wiener_weight(fsc)[:5] > 0).all()
    assert wiener_weight(fsc)[5:].tolist() == [0, 0]


@pytest.mark.parametrize("n", [24, 25])
def test_sharpening_scales_amplitudes_by_the_b_factor(n):
    volume = DensityMap(_noise(n, 6)[0], 4.0)
    before, after = (to_half_spectrum(v.density) for v in (volume, sharpen(volume, -300.0)))
    resolution = n * 4.0 / 6
    assert float((after / before)[0, 0, 6].real) == pytest.approx(math.exp(300 / (4 * resolution**2)), rel=1e-3)


def test_b_factor_put_in_is_found_and_sharpening_by_it_flattens_the_spectrum():
    volume = sharpen(DensityMap(_noise(48, 7)[0], 3.0), 400.0)
    ones = torch.ones(25)
    found = estimate_b_factor(volume, ones, resolution_angstrom=6.0, low_resolution_angstrom=20.0)
    assert found == pytest.approx(-400, rel=0.05)
    flat = sharpen(volume, found)
    assert estimate_b_factor(flat, ones, 6.0, 20.0) == pytest.approx(0, abs=20)


def test_b_factor_needs_a_few_shells():
    with pytest.raises(InputError, match="at least three Fourier shells"):
        estimate_b_factor(DensityMap(_noise(16, 8)[0], 6.0), torch.ones(9), 14.0, 15.0)


def test_weighing_shells_keeps_the_voxel_size():
    volume = DensityMap(_noise(16, 9)[0], 2.5)
    weighed = weigh_shells(volume, torch.ones(20))
    assert weighed.voxel_size == 2.5
    torch.testing.assert_close(weighed.density, volume.density, atol=1e-5, rtol=1e-5)


def test_a_reference_is_weighted_by_the_fsc_up_to_where_it_falls():
    fsc = torch.tensor([1.0, 0.9, 0.6, 0.3, 0.1, 0.4])
    torch.testing.assert_close(reference_weight(fsc, 2.0), torch.tensor([1.0, 0.9, 0.6, 0.3, 0.0, 0.0]))


def test_where_the_fsc_says_nothing_a_reference_is_low_passed():
    weight = reference_weight(torch.tensor([1.0, 0.1, 0.9, 0.9, 0.9, 0.9]), 2.0)
    assert float(weight[1]) > 0.9
    assert float(weight[4]) == 0.0


def test_each_voxel_is_filtered_to_its_own_resolution():
    n, voxel = 24, 5.0
    noise = DensityMap(torch.randn(n, n, n, generator=torch.Generator().manual_seed(0)), voxel)
    shells = torch.full((n, n, n), 8.0)
    shells[: n // 2] = 4.5  # between two shells
    found = filter_locally(noise, DensityMap(n * voxel / shells, voxel)).density
    radius = torch.arange(24.0)
    fine, four, five = (weigh_shells(noise, raised_cosine(radius, last, 2.0)).density for last in (8.0, 4.0, 5.0))
    torch.testing.assert_close(found[n // 2 :], fine[n // 2 :])
    torch.testing.assert_close(found[: n // 2], (four[: n // 2] + five[: n // 2]) / 2)
    with pytest.raises(InputError, match="local filter: expected resolutions above 0"):
        filter_locally(noise, DensityMap(shells * 0, voxel))
