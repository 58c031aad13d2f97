"""The CTF: wavelength, zeros, sign and gradients."""

import math

import numpy as np
import pytest
import torch

from torchsag.errors import InputError
from torchsag.imaging.ctf import Microscope


@pytest.mark.parametrize(("voltage_kv", "wavelength"), [(100.0, 0.037014), (200.0, 0.025079), (300.0, 0.019687)])
def test_wavelength_is_the_textbook_one(voltage_kv, wavelength):
    assert Microscope(voltage_kv=voltage_kv).wavelength_angstrom == pytest.approx(wavelength, abs=2e-6)


@pytest.mark.parametrize("defocus_um", [-6.0, -1.5])
def test_zeros_fall_where_the_formula_says(defocus_um):
    """pi lambda D s^2 - pi/2 Cs lambda^3 s^4 + asin(A) = m pi solved for s, against sign changes of the curve."""
    microscope = Microscope(300.0, 2.7, 0.07)
    wavelength, aberration = microscope.wavelength_angstrom, 2.7e7
    m = np.arange(1, 20)
    # Quadratic in s^2, with its smaller root.
    a, b = 0.5 * math.pi * aberration * wavelength**3, math.pi * wavelength * -defocus_um * 1e4
    c = m * math.pi - math.asin(0.07)
    expected = np.sqrt((b - np.sqrt(b**2 - 4 * a * c)) / (2 * a))
    frequency = torch.linspace(1e-5, float(expected[-1]) + 1e-4, 400_001, dtype=torch.float64)
    values = microscope.ctf(frequency, defocus_um)
    crossing = (values[1:].sign() != values[:-1].sign()).nonzero()[:, 0]
    np.testing.assert_allclose(frequency[crossing][:19].numpy(), expected, atol=2e-6)


def test_bright_particles_stay_bright_at_low_frequency():
    values = Microscope(amplitude_contrast=0.1).ctf(torch.tensor([0.0, 1e-3]), -3.0)
    assert float(values[0]) == pytest.approx(0.1, abs=1e-6)
    assert float(values[1]) > float(values[0])


def test_agrees_with_the_usual_two_term_form():
    """-sqrt(1-A^2) sin(chi) - A cos(chi), turned to positive contrast."""
    microscope = Microscope(200.0, 2.0, 0.1)
    s = torch.linspace(0, 0.2, 500, dtype=torch.float64)
    wavelength = microscope.wavelength_angstrom
    chi = math.pi * wavelength * 25_000 * s**2 - 0.5 * math.pi * 2e7 * wavelength**3 * s**4
    expected = math.sqrt(1 - 0.01) * torch.sin(chi) + 0.1 * torch.cos(chi)
    torch.testing.assert_close(microscope.ctf(s, -2.5), expected, atol=1e-9, rtol=0)


def test_defocus_may_be_a_tensor_and_has_gradients():
    defocus = torch.tensor([[-2.0], [-3.0]], dtype=torch.float64, requires_grad=True)
    frequency = torch.linspace(0.01, 0.1, 7, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda d: Microscope().ctf(frequency.expand(2, 7), d), (defocus,))


@pytest.mark.parametrize(
    "bad", [{"voltage_kv": 0.3}, {"spherical_aberration_mm": -1.0}, {"amplitude_contrast": 1.5}], ids=str
)
def test_refuses_impossible_microscopes(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        Microscope(**bad)
