"""The independent coefficients: all of them, once, in blocks."""

from itertools import pairwise

import pytest
import torch

from torchsag.fourier import half_frequencies, half_shells, hermitian_multiplicity, to_half_spectrum
from torchsag.spectra.fourier_band import FourierBand


@pytest.mark.parametrize("box", [12, 13])
@pytest.mark.parametrize("make", [lambda n: FourierBand.of(n, 5, 3), lambda n: FourierBand.by_shell(n, 5)])
def test_one_of_each_hermitian_pair_within_the_sphere(box, make):
    band = make(box)
    both = {tuple(k) for k in torch.cat([band.frequencies, -band.frequencies]).tolist()}
    axis = range(-5, 6)
    assert both == {(x, y, z) for x in axis for y in axis for z in axis if 0 < x * x + y * y + z * z <= 25}
    assert len(both) == 2 * len(band)


@pytest.mark.parametrize("box", [12, 13])
def test_positions_pick_the_coefficient_of_that_frequency(box):
    band = FourierBand.of(box, 5, 2)
    volume = torch.randn(box, box, box, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axis = torch.arange(box, dtype=torch.float64) - box // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    some = torch.arange(0, len(band), 37)
    angle = -2 * torch.pi / box * torch.einsum("kd,d...->k...", band.frequencies[some].double(), torch.stack([x, y, z]))
    expected = (volume * torch.exp(1j * angle)).flatten(1).sum(1)
    torch.testing.assert_close(band.take(to_half_spectrum(volume))[some], expected)


def test_blocks_are_equal_random_parts():
    band = FourierBand.of(20, 8, 6)
    sizes = band.starts.diff()
    assert int(sizes.max() - sizes.min()) <= 1
    assert int(sizes.sum()) == len(band)
    assert torch.equal(torch.bincount(band.blocks), sizes)
    radius = band.frequencies.double().norm(dim=-1)
    means = torch.stack([radius[band.blocks == b].mean() for b in range(6)])
    assert float((means - radius.mean()).abs().max()) < 0.3
    for a, b in pairwise(band.quartered.starts.tolist()):
        assert bool((band.positions[a:b].diff() != 0).all())
        kz = band.frequencies[a:b, 2]
        assert bool((kz.diff() >= 0).all())  # in the order of memory, seen from the lowest kz


def test_quarters_of_a_block_are_random_parts_too():
    band = FourierBand.of(32, 12, 5)
    fine = band.quartered
    assert torch.equal(fine.starts[::4], band.starts)
    assert torch.equal(fine.frequencies, band.frequencies)
    sizes = fine.starts.diff()
    assert int(sizes.max() - sizes.min()) <= 2
    means = torch.stack([block.double().mean(0) for block in fine.frequencies.split(sizes.tolist())])
    # Of a part that follows memory, z would differ by several shells from that of the next.
    assert float((means - band.frequencies.double().mean(0)).abs().max()) < 4 * 5 / float(sizes.min()) ** 0.5


def test_block_b_is_shell_b_plus_one():
    box = 14
    band = FourierBand.by_shell(box, 6)
    assert band.num_blocks == 6
    assert torch.equal(band.blocks + 1, band.shells)
    shells = half_shells((box, box, box))
    assert torch.equal(shells.flatten()[band.positions], band.shells)
    whole = hermitian_multiplicity((box, box, box))[shells == 3].sum()
    assert int(band.starts.diff()[2]) * 2 == int(whole)


def test_built_once():
    assert FourierBand.of(12, 4, 2) is FourierBand.of(12, 4, 2)


@pytest.mark.parametrize("box", [8, 9])
def test_put_undoes_take(box):
    """Within the band: the volume of what was put back is the band-limited volume without its mean."""
    band = FourierBand.by_shell(box, 3)
    volume = torch.randn(2, box, box, box, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spectrum = to_half_spectrum(volume)
    back = band.put(band.take(spectrum))
    radius = half_frequencies((box,) * 3, dtype=torch.float64).norm(dim=-1) * box
    inside = (radius <= 3 + 1e-9) & (radius > 0)
    assert torch.allclose(back, torch.where(inside, spectrum, 0))
