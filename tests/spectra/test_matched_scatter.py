"""A signal and its power together are what `back_project` makes of them one by one."""

import pytest
import torch

from torchsag.spectra.matched_scatter import back_project_matched, even_volume
from torchsag.spectra.scatter import back_project


def _samples(dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    frequencies = torch.randn(3000, 3, generator=generator, dtype=dtype)
    frequencies *= 0.5 * torch.rand(3000, 1, generator=generator, dtype=dtype) / frequencies.norm(dim=-1, keepdim=True)
    signal = torch.complex(*torch.randn(2, 3000, generator=generator, dtype=dtype))
    return signal, torch.rand(3000, generator=generator, dtype=dtype), frequencies


@pytest.mark.parametrize("n", [15, 16])
def test_both_volumes_are_those_of_one_by_one(n):
    signal, power, frequencies = _samples()
    expected = back_project(torch.stack([signal, power.to(signal)]), frequencies, (n, n, n))
    found = back_project_matched(signal, power, frequencies, (n, n, n))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-6 * float(theirs.abs().max()), rtol=0)


@pytest.mark.parametrize("n", [15, 16])
def test_double_precision_takes_the_plain_way(n):
    signal, power, frequencies = _samples(torch.float64)
    expected = back_project(torch.stack([signal, power.to(signal)]), frequencies, (n, n, n))
    found = back_project_matched(signal, power, frequencies, (n, n, n))
    torch.testing.assert_close(torch.stack(found), expected, atol=1e-14, rtol=1e-12)


def test_the_volume_of_a_real_spectrum_is_even():
    spectrum = torch.rand(32, 32, 17, generator=torch.Generator().manual_seed(2))
    volume = even_volume(spectrum, 16)
    torch.testing.assert_close(volume[1:, 1:, 1:], volume[1:, 1:, 1:].flip(0, 1, 2), atol=1e-6, rtol=1e-5)


def test_samples_outside_of_the_grid_are_refused():
    signal, power, frequencies = _samples()
    frequencies[7] = torch.tensor([0.0, torch.nan, 0.0])
    with pytest.raises(IndexError, match="outside of the grid"):
        back_project_matched(signal, power, frequencies, (16, 16, 16))
