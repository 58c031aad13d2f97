"""Harmonics against scipy's; the transform of a shell against the definition."""

import math

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from torchsag.geometry import random_rotations
from torchsag.harmonics import ShellSampling, spherical_harmonics


def _scipy(degree, directions):
    """``[points, l, m]`` for m >= 0."""
    l, m = np.arange(degree + 1)[:, None], np.arange(degree + 1)  # noqa: E741
    theta = np.arccos(directions[:, 2].numpy())[:, None, None]
    phi = np.arctan2(directions[:, 1].numpy(), directions[:, 0].numpy())[:, None, None]
    return torch.from_numpy(np.where(m <= l, sph_harm_y(l, np.minimum(m, l), theta, phi), 0))


@pytest.mark.parametrize("degree", [0, 1, 7, 40])
def test_harmonics_are_scipys_also_at_the_poles(degree):
    directions = random_rotations(20, torch.Generator().manual_seed(degree), torch.float64)[:, 0]
    poles = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], dtype=torch.float64)
    directions = torch.cat([directions, poles])
    torch.testing.assert_close(spherical_harmonics(degree, directions), _scipy(degree, directions))


def _random_coefficients(degree, seed=0):
    """Of a real function: real where m = 0, zero where m > l."""
    draw = torch.randn(degree + 1, degree + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.complex128)
    draw[:, 0] = draw[:, 0].real + 0j
    return draw.tril()


@pytest.mark.parametrize(("degree", "latitudes"), [(4, 5), (7, 11), (10, 28)])
def test_analysis_inverts_synthesis_of_hermitian_functions(degree, latitudes):
    """Even degrees are the real part of the transform, odd ones its imaginary part."""
    sampling = ShellSampling(degree, latitudes)
    directions = sampling.directions()
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(latitudes, 2 * latitudes, dtype=torch.float64))
    coefficients = _random_coefficients(degree)
    twice = torch.where(torch.arange(degree + 1) > 0, 2.0, 1.0).double()
    terms = (_scipy(degree, directions.flatten(0, 1)) * coefficients * twice).real.sum(-1)
    even = torch.arange(degree + 1) % 2 == 0
    samples = torch.complex(terms[:, even].sum(-1), terms[:, ~even].sum(-1)).unflatten(0, (latitudes, 2 * latitudes))
    torch.testing.assert_close(sampling.analyse(samples), coefficients, atol=1e-10, rtol=0)


def test_coefficients_of_a_constant_and_of_a_slope():
    sampling = ShellSampling(3, 6)
    directions = sampling.directions()
    constant, slope = torch.ones_like(directions[..., 0]) + 0j, 1j * directions[..., 2]
    found = sampling.analyse(torch.stack([constant, slope]))
    expected = torch.zeros(2, 4, 4, dtype=torch.complex128)
    expected[0, 0, 0], expected[1, 1, 0] = math.sqrt(4 * math.pi), math.sqrt(4 * math.pi / 3)
    torch.testing.assert_close(found, expected)


def test_precision_follows_the_samples():
    sampling = ShellSampling(3, 6)
    assert sampling.analyse(torch.ones(6, 12, dtype=torch.complex64)).dtype == torch.complex64
