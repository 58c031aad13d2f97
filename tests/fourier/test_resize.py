import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import crop, crop_spectrum, from_half_spectrum, pad, resample, to_half_spectrum

SIZES = [(8, 6), (9, 7), (8, 7), (9, 6), (8, 5), (9, 8)]


def _centred_point(n):
    volume = torch.zeros(n, n, n)
    volume[n // 2, n // 2, n // 2] = 1
    return volume


def _band_limited(n, frequencies, seed=0):
    """A sum of a few waves (cycles per box), about the box centre: the same function on any grid."""
    generator = torch.Generator().manual_seed(seed)
    axis = (torch.arange(n, dtype=torch.float64) - n // 2) / n
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    volume = torch.zeros(n, n, n, dtype=torch.float64)
    for _ in range(6):
        k = torch.randint(-frequencies, frequencies + 1, (3,), generator=generator)
        phase = torch.rand((), generator=generator)
        volume += torch.cos(2 * torch.pi * (k[0] * x + k[1] * y + k[2] * z + phase))
    return volume


@pytest.mark.parametrize(("large", "small"), SIZES)
def test_crop_and_pad_keep_the_centre_in_the_centre(large, small):
    assert torch.equal(crop(_centred_point(large), (small,) * 3), _centred_point(small))
    assert torch.equal(pad(_centred_point(small), (large,) * 3), _centred_point(large))


@pytest.mark.parametrize(("large", "small"), SIZES)
def test_crop_undoes_pad(large, small):
    volume = torch.randn(2, small, small, small, generator=torch.Generator().manual_seed(0))
    padded = pad(volume, (large,) * 3, value=-1.0)
    assert torch.equal(crop(padded, (small,) * 3), volume)
    assert float(padded.sum()) == pytest.approx(float(volume.sum()) - 2 * (large**3 - small**3), rel=1e-4)


@pytest.mark.parametrize(("large", "small"), SIZES)
def test_resample_of_a_band_limited_function_samples_it_anew(large, small):
    frequencies = (small - 1) // 2
    volume = _band_limited(large, frequencies)
    torch.testing.assert_close(resample(volume, (small,) * 3), _band_limited(small, frequencies))


@pytest.mark.parametrize(("large", "small"), SIZES)
def test_cropped_spectrum_belongs_to_a_real_volume(large, small):
    volume = torch.randn(large, large, large, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    cropped = crop_spectrum(to_half_spectrum(volume), (large,) * 3, (small,) * 3)
    back = to_half_spectrum(from_half_spectrum(cropped, (small,) * 3))
    torch.testing.assert_close(back, cropped)


def test_resample_takes_axes_of_different_length():
    volume = torch.ones(2, 8, 10, 12)
    torch.testing.assert_close(resample(volume, (4, 5, 9)), torch.ones(2, 4, 5, 9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: crop(v, (9, 8, 8)), "crop: expected a box of at most"),
        (lambda v: pad(v, (7, 8, 8)), "pad: expected a box of at least"),
        (lambda v: crop_spectrum(to_half_spectrum(v), (8, 8, 8), (9, 8, 8)), "crop_spectrum: expected a box"),
    ],
)
def test_a_box_on_the_wrong_side_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(torch.zeros(8, 8, 8))
