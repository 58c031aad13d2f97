"""Truth: the coarse grid holds the band and nothing else."""

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_frequencies, to_half_spectrum
from torchsag.slices.band_limit import BandLimit


@pytest.mark.parametrize(
    ("full", "resolution", "box"),
    [
        ((64, 64, 64), 24.0, (36, 36, 36)),  # 16 shells
        ((64, 64, 64), 30.0, (25, 25, 25)),  # 12.8 shells
        ((65, 65, 65), 30.0, (27, 27, 27)),
        ((32, 64, 64), 24.0, (18, 36, 36)),
        ((63, 64, 65), 30.0, (63, 64, 65)),  # no common factor: left alone
        ((32, 32, 32), None, (32, 32, 32)),
        ((32, 32, 32), 1.0, (32, 32, 32)),  # beyond the sampling limit
    ],
)
def test_box_is_the_smallest_fast_one_of_the_same_proportions(full, resolution, box):
    assert BandLimit.of(full, 6.0, resolution).box == box


@pytest.mark.parametrize("full", [(24, 24, 24), (25, 25, 25), (20, 30, 40)])
def test_coarse_volume_is_the_low_passed_one_on_fewer_voxels(full):
    volume = torch.randn(full, generator=torch.Generator().manual_seed(0))
    band = BandLimit.of(full, 4.0, 20.0)
    coarse = band.limit_spectra(to_half_spectrum(volume))
    keep = half_frequencies(full).norm(dim=-1) <= 4.0 / 20.0
    low = from_half_spectrum(to_half_spectrum(volume) * keep, full)
    assert band.box < full
    torch.testing.assert_close(band.volumes(coarse).square().mean(), low.square().mean())
    assert float(band.volumes(coarse)[tuple(n // 2 for n in band.box)]) == pytest.approx(
        float(low[tuple(n // 2 for n in full)]), abs=1e-5
    )


def test_weights_follow_their_coefficients():
    full = (24, 24, 24)
    band = BandLimit.of(full, 4.0, 20.0)
    frequencies = half_frequencies(full)
    weights = (1 + frequencies[..., 0] + 2 * frequencies[..., 1].abs() + 3 * frequencies[..., 2].square())[None]
    coarse = half_frequencies(band.box) * band.scale
    expected = (1 + coarse[..., 0] + 2 * coarse[..., 1].abs() + 3 * coarse[..., 2].square()) * band.weight()
    torch.testing.assert_close(band.limit_weights(weights)[0], expected)


def test_too_low_a_resolution_is_refused():
    with pytest.raises(InputError, match="fewer than 2 Fourier shells"):
        BandLimit.of((32, 32, 32), 10.0, 200.0)
