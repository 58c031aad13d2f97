"""The correlation over rotations against quadrature on the sphere, one rotation at a time."""

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from torchsag.harmonics import EulerGrid, RotationalCorrelation, ShellSampling


def _coefficients(leading, degree, fold=1, seed=0):
    """Random real functions with a `fold`-fold axis along z."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(*leading, degree + 1, degree + 1, generator=generator, dtype=torch.complex128)
    draw[..., 0] = draw[..., 0].real + 0j
    return draw.tril() * (torch.arange(degree + 1) % fold == 0)


def _values(coefficients, directions):
    """Synthesis with scipy's harmonics: ``[..., points]``."""
    degree = coefficients.shape[-1] - 1
    l, m = np.arange(degree + 1)[:, None], np.arange(degree + 1)  # noqa: E741
    theta = np.arccos(directions[:, 2].clamp(-1, 1).numpy())[:, None, None]
    phi = np.arctan2(directions[:, 1].numpy(), directions[:, 0].numpy())[:, None, None]
    harmonics = torch.from_numpy(np.where(m <= l, sph_harm_y(l, np.minimum(m, l), theta, phi), 0))
    twice = torch.where(torch.arange(degree + 1) > 0, 2.0, 1.0).double()
    return torch.einsum("...lm,plm->...p", coefficients * twice, harmonics).real


@pytest.mark.parametrize(("degree", "fold", "kept"), [(4, 1, 1), (5, 2, 2), (8, 7, 7), (3, 7, 7), (5, 2, 1), (8, 7, 1)])
def test_correlation_is_the_integral(degree, fold, kept):
    """Also on the grid of a symmetric reference, of which the versions have kept some symmetry or none."""
    grid = EulerGrid(degree, fold)
    versions, particles = _coefficients((2, 3), degree, kept, seed=1), _coefficients((2, 3), degree, seed=2)
    found = RotationalCorrelation(grid, versions, kept)(particles)
    assert found.shape == (*grid.shape, 2, 2)
    latitudes = degree + 2
    directions = ShellSampling(degree, latitudes).directions().flatten(0, 1)
    weights = torch.from_numpy(np.polynomial.legendre.leggauss(latitudes)[1]) * np.pi / latitudes
    weights = weights.repeat_interleave(2 * latitudes)
    seen = _values(particles, directions)
    rotations = grid.rotations()
    alpha, gamma, beta = grid.shape
    for place in [(0, 0, 0), (1, gamma - 1, beta // 2), (alpha - 1, gamma // 2, beta - 1), (alpha // 3, 0, 1)]:
        turned = _values(versions, directions @ rotations[place])  # g(R^T x)
        expected = torch.einsum("psx,vsx,x->pv", seen, turned, weights)
        torch.testing.assert_close(found[place], expected)


def test_single_precision_follows_its_input():
    grid = EulerGrid(6)
    versions, particles = _coefficients((1, 2), 6, seed=1), _coefficients((2, 2), 6, seed=2)
    exact = RotationalCorrelation(grid, versions)(particles)
    single = RotationalCorrelation(grid, versions.to(torch.complex64))(particles.to(torch.complex64))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, atol=1e-5 * float(exact.abs().max()), rtol=0)
