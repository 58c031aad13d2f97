import math

import pytest
import torch

from torchsag.spectra.kaiser_bessel import WIDTH, compensate, kaiser_bessel, kaiser_bessel_gain


@pytest.mark.parametrize("position", [0.0, 0.2, 0.35, 0.5, 0.65, 0.9, 1.0])
def test_gain_is_the_transform_of_the_window(position):
    k = torch.linspace(-WIDTH / 2, WIDTH / 2, 20001, dtype=torch.float64)
    numeric = torch.trapezoid(kaiser_bessel(k) * torch.cos(2 * math.pi * k * position), k)
    analytic = kaiser_bessel_gain(torch.tensor(position, dtype=torch.float64))
    torch.testing.assert_close(analytic, numeric, atol=1e-7, rtol=1e-6)


def test_window_ends_at_half_its_width():
    assert kaiser_bessel(torch.tensor([-2.01, 2.01, 3.0])).tolist() == [0, 0, 0]
    assert float(kaiser_bessel(torch.tensor(2.0))) > 0


def test_copies_are_weak_over_the_central_seventy_per_cent():
    position = torch.linspace(0, 0.35, 200, dtype=torch.float64)
    copy = kaiser_bessel_gain(1 - position).abs() / kaiser_bessel_gain(position)
    assert float(copy.max()) < 0.004


@pytest.mark.parametrize("n", [15, 16])
def test_compensation_undoes_the_gain_in_the_centre_and_halves_the_faces(n):
    factor = compensate(torch.ones(n, n, n, dtype=torch.float64))[n // 2, n // 2]
    position = (torch.arange(n, dtype=torch.float64) - n // 2) / n
    product = factor / factor[n // 2] * kaiser_bessel_gain(position) / kaiser_bessel_gain(torch.zeros(()))
    assert float((product[n // 4 : -(n // 4)] - 1).abs().max()) < 1e-3
    if n % 2 == 0:
        assert float(product[0]) == pytest.approx(0.5, rel=1e-3)
