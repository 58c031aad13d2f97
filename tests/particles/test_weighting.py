"""Whatever a stored weight means, the library's form is W times the signal plus white noise."""

from pathlib import Path

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import apply_filter, from_half_spectrum, half_frequencies, to_half_spectrum
from torchsag.imaging.wedge import missing_wedge
from torchsag.particles import Corrected, Premultiplied, Transfer, Weighting
from torchsag.particles.weighting import with_multiplicity

MEANINGS = [Corrected(), Transfer(), Premultiplied()]


def _oscillating_ctf(box):
    radius = half_frequencies(box).norm(dim=-1)
    return torch.cos(40 * radius.square()) * missing_wedge(box, -60.0, 50.0)


@pytest.mark.parametrize("meaning", MEANINGS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("box", [(12, 12, 12), (13, 13, 13)])
def test_binary_wedge_means_the_same_everywhere(meaning, box):
    wedge = missing_wedge(box, -60.0, 50.0)
    whitening = meaning(wedge)
    assert isinstance(meaning, Weighting)
    torch.testing.assert_close(whitening.factor, wedge)
    torch.testing.assert_close(whitening.weight, wedge)


@pytest.mark.parametrize("meaning", MEANINGS, ids=lambda m: type(m).__name__)
def test_noise_becomes_white_and_signal_gets_the_weight(meaning):
    """Make the stored volume from its own definition, with signal and noise known apart."""
    box = (16, 16, 16)
    ctf = _oscillating_ctf(box)
    generator = torch.Generator().manual_seed(3)
    signal = torch.randn(box, generator=generator)
    noise = torch.randn(400, *box, generator=generator)
    measured = ctf.abs() > 0.15
    ctf = ctf * measured
    safe = torch.where(measured, ctf, torch.ones_like(ctf))
    if isinstance(meaning, Corrected):  # divided by the CTF: the noise variance is 1 / CTF^2
        stored, of_signal, of_noise = ctf.square(), measured.float(), measured / safe
    elif isinstance(meaning, Transfer):
        stored, of_signal, of_noise = ctf, ctf, torch.ones_like(ctf)
    else:  # multiplied by the CTF
        stored, of_signal, of_noise = ctf.square(), ctf.square(), ctf
    whitening = meaning(stored)
    as_signal = apply_filter(apply_filter(signal, of_signal), whitening.factor)
    torch.testing.assert_close(as_signal, apply_filter(signal, whitening.weight), rtol=1e-4, atol=1e-4)
    power = to_half_spectrum(apply_filter(apply_filter(noise, of_noise), whitening.factor)).abs().square().mean(0)
    white = power[measured] / 16**3
    assert white.mean() == pytest.approx(1, abs=0.01)
    assert white.max() < 1.8
    assert white.min() > 0.5
    assert power[~measured].max() < 1e-3
    torch.testing.assert_close(whitening.weight, ctf.abs(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("meaning", [Corrected(), Premultiplied()], ids=lambda m: type(m).__name__)
def test_signed_weight_is_no_noise_variance(meaning):
    with pytest.raises(InputError, match="weighting=transfer"):
        meaning(_oscillating_ctf((8, 8, 8)))


@pytest.mark.parametrize("meaning", MEANINGS, ids=lambda m: type(m).__name__)
def test_empty_weight_is_refused(meaning):
    with pytest.raises(InputError, match=r"zeros|positive"):
        meaning(torch.zeros(8, 8, 5))


@pytest.mark.parametrize("meaning", [Corrected, Transfer, Premultiplied])
@pytest.mark.parametrize("floor", [-0.1, 1.0])
def test_floor_is_a_fraction(meaning, floor):
    with pytest.raises(InputError, match="floor"):
        meaning(floor=floor)


def test_floor_counts_tiny_weights_as_unmeasured():
    stored = torch.tensor([1.0, 1e-5, 0.0, -1e-4]).expand(4, 4, 4)
    whitening = Premultiplied(floor=1e-2)(stored)
    assert whitening.weight[0, 0].tolist() == [1, 0, 0, 0]
    assert whitening.factor[0, 0].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("box", [(8, 8, 8), (9, 9, 9)])
def test_filter_without_shifts_equals_the_centred_one(box):
    volume = torch.randn(2, *box, generator=torch.Generator().manual_seed(0))
    factor = missing_wedge(box, -40.0, 60.0)
    expected = from_half_spectrum(to_half_spectrum(volume) * factor, box)
    torch.testing.assert_close(apply_filter(volume, factor), expected, rtol=1e-5, atol=1e-5)


def test_each_meaning_has_its_yaml():
    folder = Path(__file__).resolve().parents[2] / "conf" / "weighting"
    for meaning in MEANINGS:
        lines = (folder / f"{type(meaning).__name__.lower()}.yaml").read_text().splitlines()
        assert lines[0] == f"_target_: torchsag.particles.weighting.{type(meaning).__name__}"
        assert float(lines[1].split(":")[1]) == meaning.floor


class TestMultiplicity:
    power = torch.tensor([4.0, 1.0, 1.0, 0.5]).reshape(1, 1, 4)
    multiplicity = torch.tensor([8.0, 1.0, 0.2, 0.001]).reshape(1, 1, 4)

    def test_it_tells_the_noise_where_one_image_reaches_a_voxel_from_aside(self):
        action = with_multiplicity(self.power, self.multiplicity, Premultiplied())
        # V has the noise power * r with r = 1.5 m up to one; the signal is power.
        noise = self.power * torch.tensor([1.0, 1.0, 0.3, 1.0]).reshape(1, 1, 4)
        measured = action.weight > 0
        torch.testing.assert_close((action.factor.square() * noise)[measured], torch.ones(3))
        torch.testing.assert_close((action.factor * self.power)[measured], action.weight[measured])

    def test_what_hardly_any_image_reached_is_not_measured(self):
        action = with_multiplicity(self.power, self.multiplicity, Premultiplied())
        assert action.weight[0, 0, 3] == 0
        assert action.factor[0, 0, 3] == 0

    def test_another_meaning_keeps_its_noise(self):
        action = with_multiplicity(self.power, self.multiplicity, Transfer())
        torch.testing.assert_close(action.weight[0, 0, :3], self.power[0, 0, :3])
