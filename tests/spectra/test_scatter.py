"""Samples at any frequency summed into a volume, against the direct sum."""

import pytest
import torch

from torchsag.spectra.gridding import ContinuousSpectrum, padded_size, tap_table
from torchsag.spectra.scatter import back_project, scatter_torch
from torchsag.spectra.scatter_numba import scatter_numba


def _samples(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    frequencies = torch.rand(count, 3, generator=generator) - 0.5
    return torch.randn(2, count, dtype=torch.complex64, generator=generator), frequencies


@pytest.mark.parametrize("n", [8, 9])
def test_is_the_direct_sum_of_waves_and_their_mirror_images(n):
    values, frequencies = _samples(60)
    axis = torch.arange(n, dtype=torch.float64) - n // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    waves = torch.exp(2j * torch.pi * torch.einsum("czyx,pc->pzyx", torch.stack([x, y, z]), frequencies.double()))
    direct = 2 * torch.einsum("cp,pzyx->czyx", values.to(torch.complex128), waves).real / n**3
    made = back_project(values, frequencies, (n, n, n))
    assert float((made - direct).norm() / direct.norm()) < 2e-3


def test_is_the_adjoint_of_gridding():
    n = 10
    values, frequencies = _samples(40, seed=1)
    volume = torch.randn(n, n, n, generator=torch.Generator().manual_seed(2))
    gathered = ContinuousSpectrum.of(volume).at(frequencies)
    there = 2 * (values[0].conj() * gathered).sum().real / n**3
    back = (back_project(values[:1], frequencies, (n, n, n))[0] * volume).sum()
    assert float(back) == pytest.approx(
        float(there), rel=1e-3, abs=1e-3 * float(values[0].norm() * volume.norm()) / n**3
    )


def test_the_loop_is_the_reference():
    size = padded_size(8)
    values, frequencies = _samples(50, seed=3)
    positions = frequencies * torch.tensor([1.0, 1.0, 1.0]) * size
    positions[:, 0] = positions[:, 0].abs()
    shape = (2, size, size, size // 2 + 9)
    values[1] = values[1].real.abs()
    loop, power = scatter_numba(values[0], values[1].real, positions, tap_table(), shape[1:])
    twin = scatter_torch(values, positions, shape)
    torch.testing.assert_close(loop, twin[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(power, twin[1].real, rtol=1e-4, atol=1e-4)
