import math

import pytest
import torch

from torchsag.fourier import (
    first_below,
    fourier_shell_correlation,
    last_above,
    shell_sums,
    to_half_spectrum,
    to_spectrum,
)
from torchsag.fourier.shells import resolution_at


def _slow_fsc(first, second):
    """Shell by shell over the full centred spectrum."""
    n = first.shape[0]
    axis = torch.arange(n) - n // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    shell = (z**2 + y**2 + x**2).double().sqrt().round().long()
    a, b = to_spectrum(first), to_spectrum(second)
    curve = []
    for k in range(n // 2 + 1):
        u, v = a[shell == k], b[shell == k]
        curve.append((u * v.conj()).sum().real / (u.abs().square().sum() * v.abs().square().sum()).sqrt())
    return torch.stack(curve)


@pytest.mark.parametrize("n", [12, 13])
def test_fsc_agrees_with_the_sum_over_the_full_spectrum(n):
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, n, n, n, generator=generator, dtype=torch.float64)
    second = second + first
    curve = fourier_shell_correlation(to_half_spectrum(first), to_half_spectrum(second), (n, n, n))
    torch.testing.assert_close(curve, _slow_fsc(first, second))


def test_fsc_of_a_volume_with_itself_and_its_negative():
    spectrum = to_half_spectrum(torch.randn(3, 10, 10, 10, generator=torch.Generator().manual_seed(0)))
    one = fourier_shell_correlation(spectrum, 2 * spectrum, (10, 10, 10))
    torch.testing.assert_close(one, torch.ones_like(one))
    torch.testing.assert_close(fourier_shell_correlation(spectrum, -spectrum, (10, 10, 10)), -one)


def test_fsc_is_zero_where_there_is_no_power():
    spectrum = to_half_spectrum(torch.ones(8, 8, 8))
    curve = fourier_shell_correlation(spectrum, spectrum, (8, 8, 8))
    assert curve.tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("n", [8, 9])
def test_shell_sums_count_every_coefficient_of_the_ball(n):
    counts = shell_sums(torch.ones(n, n, n // 2 + 1), (n, n, n))
    axis = torch.arange(n) - n // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    shell = (z**2 + y**2 + x**2).double().sqrt().round()
    assert counts.tolist() == [int((shell == k).sum()) for k in range(n // 2 + 1)]


def test_where_a_curve_falls_below_and_where_it_was_last_above():
    curve = torch.tensor([0.1, 0.9, 0.2, 0.6, 0.1])
    assert first_below(curve, 0.5) == 2
    assert first_below(curve, 0.0) == len(curve)
    assert last_above(curve, 0.5) == 3
    assert last_above(curve, 1.0) == -1


def test_resolution_is_interpolated_between_the_shells_around_the_crossing():
    # Falls from 0.643 at shell 4 to -0.357 at shell 5: crosses 0.143 half-way.
    fsc = torch.tensor([1.0, 1.0, 1.0, 0.9, 0.643, -0.357, 0.5])
    assert resolution_at(fsc, (12, 12, 12), 6.0) == pytest.approx(12 * 6 / 4.5)


def test_resolution_at_the_ends_of_the_curve():
    assert resolution_at(torch.ones(7), (12, 12, 12), 6.0) == pytest.approx(12.0)
    assert math.isinf(resolution_at(torch.tensor([1.0, 0.1, 0.9]), (4, 4, 4), 6.0))
