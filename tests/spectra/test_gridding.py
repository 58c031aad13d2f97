"""Gridding against the direct sum it stands for."""

import math

import pytest
import torch

from torchsag.spectra.gridding import ContinuousSpectrum, interpolate


def direct_sum(volume, frequencies):
    grid = torch.stack(
        torch.meshgrid(*(torch.arange(n, dtype=torch.float64) - n // 2 for n in volume.shape), indexing="ij"), -1
    ).reshape(-1, 3)
    phase = -2 * math.pi * frequencies.flip(-1).double() @ grid.T
    return torch.polar(torch.ones_like(phase), phase) @ volume.double().flatten().to(torch.complex128)


@pytest.mark.parametrize("box", [(12, 12, 12), (11, 13, 10)])
def test_agrees_with_the_direct_sum(box):
    generator = torch.Generator().manual_seed(0)
    volume = torch.randn(box, generator=generator)
    frequencies = torch.rand(200, 3, generator=generator) - 0.5
    expected = direct_sum(volume, frequencies)
    found = ContinuousSpectrum.of(volume).at(frequencies)
    error = (found - expected).abs().square().mean().sqrt() / expected.abs().square().mean().sqrt()
    assert error < 2e-3  # noise fills the box up to its corners, where the kernel is least accurate


def test_is_accurate_for_a_compact_structure():
    generator = torch.Generator().manual_seed(0)
    volume = torch.zeros(24, 24, 24)
    volume[7:18, 7:18, 7:18] = torch.randn(11, 11, 11, generator=generator)
    frequencies = torch.rand(200, 3, generator=generator) - 0.5
    expected = direct_sum(volume, frequencies)
    found = ContinuousSpectrum.of(volume).at(frequencies)
    error = (found - expected).abs().square().mean().sqrt() / expected.abs().square().mean().sqrt()
    assert error < 6e-4


def test_gradients_of_volume_and_frequency():
    generator = torch.Generator().manual_seed(0)
    volume = torch.randn(4, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    frequencies = (torch.rand(3, 3, generator=generator, dtype=torch.float64) - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v, f: torch.view_as_real(ContinuousSpectrum.of(v).at(f)), (volume, frequencies), atol=1e-4
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_the_loop_is_the_reference(threads):
    """CPU loop against the plain torch form, also at whole samples and at the edges of the band."""
    generator = torch.Generator().manual_seed(0)
    spectrum = ContinuousSpectrum.of(torch.randn(9, 10, 12, generator=generator))
    frequencies = torch.rand(500, 3, generator=generator) - 0.5
    frequencies = torch.cat([frequencies, torch.tensor([[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5], [0.0, 0.25, 0.0]])])
    sizes = torch.tensor([24, 20, 18])
    expected = interpolate(spectrum.samples, frequencies * sizes + sizes // 2 + 4)
    torch.set_num_threads(threads)
    try:
        found = spectrum.at(frequencies)
    finally:
        torch.set_num_threads(1)
    assert float((found - expected).norm() / expected.norm()) < 1e-5


def test_gradients_take_the_other_way():
    volume = torch.randn(6, 6, 6, requires_grad=True)
    ContinuousSpectrum.of(volume).at(torch.zeros(1, 3)).real.sum().backward()
    torch.testing.assert_close(volume.grad, torch.ones(6, 6, 6), atol=1e-2, rtol=0)
