"""Truth: padding a spectrum and cropping it again, or sampling the finer volume, gives the old one back."""

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import crop_spectrum, from_half_spectrum, pad_spectrum, to_half_spectrum

BOXES = [(8, 8, 8), (7, 7, 7), (6, 9, 8), (9, 6, 7)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("factor", [2, 3])
def test_finer_grid_keeps_the_old_voxels(box, factor):
    volume = torch.randn(2, *box, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fine_box = tuple(factor * n for n in box)
    fine = from_half_spectrum(pad_spectrum(to_half_spectrum(volume), box, fine_box), fine_box) * factor**3
    picked = [(torch.arange(n) - n // 2) * factor + m // 2 for n, m in zip(box, fine_box, strict=True)]
    torch.testing.assert_close(fine[:, picked[0]][:, :, picked[1]][..., picked[2]], volume)


@pytest.mark.parametrize("box", BOXES)
def test_padded_spectrum_is_that_of_a_real_volume(box):
    """Its redundant plane kx = 0 is Hermitian, also at half the old sampling rate."""
    volume = torch.randn(box, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    fine_box = tuple(2 * n for n in box)
    padded = pad_spectrum(to_half_spectrum(volume), box, fine_box)
    torch.testing.assert_close(to_half_spectrum(from_half_spectrum(padded, fine_box)), padded)


@pytest.mark.parametrize("box", BOXES)
def test_crop_undoes_pad_below_the_old_limit(box):
    volume = torch.randn(box, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    spectrum = to_half_spectrum(volume)
    odd = tuple(n - 1 if n % 2 == 0 else n for n in box)
    low = crop_spectrum(spectrum, box, odd)
    padded = pad_spectrum(low, odd, box)
    torch.testing.assert_close(crop_spectrum(padded, box, odd), low)


def test_same_box_is_left_alone_and_smaller_is_refused():
    spectrum = to_half_spectrum(torch.randn(4, 5, 6))
    torch.testing.assert_close(pad_spectrum(spectrum, (4, 5, 6), (4, 5, 6)), spectrum)
    with pytest.raises(InputError, match="at least"):
        pad_spectrum(spectrum, (4, 5, 6), (3, 5, 6))
