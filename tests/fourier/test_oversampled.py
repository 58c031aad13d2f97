import pytest
import torch

from torchsag.fourier import pad, to_half_spectrum
from torchsag.fourier.oversampled import oversampled_channels, oversampled_spectrum


@pytest.mark.parametrize(("n", "oversampling", "reach"), [(8, 2, 5), (9, 2, 9), (8, 3, 12), (7, 1, 3)])
def test_it_is_the_transform_of_the_padded_volume(n, oversampling, reach):
    volume = torch.randn(2, n, n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    # Padded about the first voxel's side only where the box is odd: compare with centres on centres.
    padded = oversampling * n
    whole = torch.zeros(2, padded, padded, padded, dtype=torch.float64)
    first = padded // 2 - n // 2
    inside = slice(first, first + n)
    whole[:, inside, inside, inside] = volume
    rows = torch.arange(-reach, reach + 1) % padded
    expected = to_half_spectrum(whole)[:, rows][:, :, rows][..., : reach + 1]
    torch.testing.assert_close(oversampled_spectrum(volume, oversampling, reach), expected)


def test_single_precision_stays_single():
    volume = torch.randn(8, 8, 8)
    assert oversampled_spectrum(volume, 2, 6).dtype == torch.complex64
    expected = to_half_spectrum(pad(volume, (16, 16, 16)))[0, 0, :7]
    torch.testing.assert_close(oversampled_spectrum(volume, 2, 6)[6, 6], expected)


@pytest.mark.parametrize("n", [7, 8])
def test_channels_are_the_transforms_times_their_factors(n):
    volumes = torch.randn(3, n, n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    factors = torch.tensor([1, 1j, 2 - 1j], dtype=torch.complex128)
    made = oversampled_channels(volumes, 2, 4, factors)
    expected = torch.stack(
        [factor * oversampled_spectrum(v, 2, 4) for v, factor in zip(volumes, factors, strict=True)], -1
    )
    torch.testing.assert_close(made, expected)
    assert made.is_contiguous()
