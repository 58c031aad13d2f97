"""The average of all particles with badly measured directions damped."""

from dataclasses import replace

import pytest
import torch

from torchsag.averaging import MapSums
from torchsag.averaging.balanced import balanced_average
from torchsag.errors import InputError
from torchsag.fourier import fourier_shell_correlation, from_half_spectrum, half_frequencies, to_half_spectrum
from torchsag.geometry import Symmetry

N = 16
C1 = Symmetry("C1")


def made(noise: float, seed: int = 0):
    """Sums of two halves of a random structure whose weight is a hundredth along z, and the structure."""
    generator = torch.Generator().manual_seed(seed)
    z, y, x = torch.meshgrid(*[torch.arange(N) - N // 2] * 3, indexing="ij")
    envelope = torch.exp(-(z.square() + y.square() + x.square()) / 18.0)
    truth = torch.randn(N, N, N, generator=generator) * envelope
    sums = MapSums.empty((N, N, N), 2.0, groups=2)
    kz = half_frequencies((N, N, N))[..., 2].flatten()[sums.sphere.flat]
    weight = torch.where(kz.abs() > 0.15, 0.01, 1.0).double()
    signal = to_half_spectrum(truth).flatten()[sums.sphere.flat]
    rough = torch.randn(2, N, N, N, generator=generator) * noise
    whites = to_half_spectrum(rough).flatten(1)[:, sums.sphere.flat]
    numerator = (weight * signal + weight.sqrt() * whites).to(torch.complex128)
    denominator = weight.expand(2, -1).clone()
    return replace(sums, numerator=numerator, denominator=denominator, counts=torch.ones(2).double()), truth


def correlation(density, truth):
    return fourier_shell_correlation(to_half_spectrum(density), to_half_spectrum(truth), (N, N, N))


def test_without_noise_it_is_the_plain_average():
    sums, _ = made(noise=0.0)
    plain = sums.pooled().finish(C1)[0].density
    assert torch.allclose(balanced_average(sums, C1).density, plain, atol=2e-2 * float(plain.std()))


def test_badly_measured_directions_no_longer_drown_the_others():
    """Outer shells of both kinds of coefficients: closer to the truth than plain division, in each."""
    gains = []
    for seed in range(3):
        sums, truth = made(noise=0.3, seed=seed)
        plain = correlation(sums.pooled().finish(C1)[0].density, truth)
        gains.append(correlation(balanced_average(sums, C1).density, truth) - plain)
    assert float(torch.stack(gains)[:, 4:7].min()) > 0.05


def test_each_shell_keeps_its_gain():
    """Even weights: nothing to balance, so that nothing changes, however noisy."""
    sums, _ = made(noise=1.0)
    even = replace(sums, denominator=torch.ones_like(sums.denominator))
    plain = even.pooled().finish(C1)[0].density
    assert torch.allclose(balanced_average(even, C1).density, plain, rtol=1e-3, atol=1e-4)


def test_one_particle_is_divided_as_it_is_and_none_is_refused():
    sums, _ = made(noise=0.3)
    alone = replace(
        sums,
        numerator=sums.numerator * torch.tensor([[1.0], [0.0]]),
        denominator=sums.denominator * torch.tensor([[1.0], [0.0]]),
        counts=torch.tensor([1.0, 0.0]).double(),
    )
    assert torch.equal(balanced_average(alone, C1).density, alone.pooled().finish(C1)[0].density)
    with pytest.raises(InputError, match="at least one particle"):
        balanced_average(replace(alone, counts=torch.zeros(2).double()), C1)


def test_symmetry_is_imposed():
    sums, _ = made(noise=0.1)
    density = balanced_average(sums, Symmetry("C2")).density
    spectrum = to_half_spectrum(density)
    turned = torch.roll(density.flip(-1, -2), (1, 1), (-1, -2))
    curve = fourier_shell_correlation(spectrum, to_half_spectrum(turned), (N, N, N))
    assert float(curve[1:6].min()) > 0.99
    assert from_half_spectrum(spectrum, (N, N, N)).shape == density.shape
