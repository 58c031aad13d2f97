"""What tilt images pass on of a volume, and what they add up to."""

import math

import pytest
import torch

from torchsag.fourier import from_half_spectrum, half_frequencies, to_half_spectrum
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.dose import remaining_signal
from torchsag.imaging.tilt_images import ImageOptics, matched_sum
from torchsag.spectra.gridding import ContinuousSpectrum


def _optics(count, **given):
    values = {"astigmatism": 0.0, "phase_shift": 0.0, "scale": 1.0, "b_factor": 0.0, "exposure": 0.0} | given
    tensors = {name: torch.full((count,), value, dtype=torch.float64) for name, value in values.items()}
    defocus = torch.tensor([[-2.0, -1.0]] * count, dtype=torch.float64)
    return ImageOptics(Microscope(), defocus_um=defocus, **tensors)


def _frames(tilts_deg):
    """Tilt axis y: image x along (cos, 0, -sin), the beam along (sin, 0, cos)."""
    rows = []
    for tilt in tilts_deg:
        c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
        rows.append([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    return torch.tensor(rows)


def test_astigmatism_turns_the_defocus_with_its_direction():
    n, size = 32, 2.0
    optics = _optics(1, astigmatism=math.pi / 2)
    transfer = optics.transfer(n, size)[0]
    frequency = torch.tensor([5 / (n * size)], dtype=torch.float64)
    # The first defocus lies along y here, the second along x.
    assert float(transfer[5, 0]) == pytest.approx(float(Microscope().ctf(frequency, -2.0)))
    assert float(transfer[0, 5]) == pytest.approx(float(Microscope().ctf(frequency, -1.0)))
    diagonal = frequency * math.sqrt(2)
    assert float(transfer[5, 5]) == pytest.approx(float(Microscope().ctf(diagonal, -1.5)))


def test_scale_fall_off_exposure_and_phase_shift():
    n, size = 16, 3.0
    plain = _optics(1)
    frequency = torch.tensor([4 / (n * size)], dtype=torch.float64)
    faded = _optics(1, scale=0.5, b_factor=40.0, exposure=12.0)
    factor = 0.5 * math.exp(-10 * float(frequency) ** 2) * float(remaining_signal(frequency, 12.0))
    assert float(faded.transfer(n, size)[0, 0, 4]) == pytest.approx(factor * float(plain.transfer(n, size)[0, 0, 4]))
    plate = _optics(1, phase_shift=math.pi / 2).transfer(n, size)[0]
    assert float(plate[0, 0]) == pytest.approx(math.cos(math.asin(0.07)))


@pytest.mark.parametrize("premultiplied", [True, False])
@pytest.mark.parametrize("n", [24, 25])
def test_images_of_a_volume_add_up_to_it(n, premultiplied, blobs):
    """The matched sum divided by its weight is the volume where images lie closely."""
    frames = _frames(range(-60, 61, 3)).double()
    optics = _optics(len(frames))
    transfer = optics.transfer(n, 4.0)
    density = blobs(radius=5.0, count=15).map(n).double()
    plane = half_frequencies((1, n, n), dtype=torch.float64)[0, ..., :2]
    points = torch.einsum("yxa,tac->tyxc", plane, frames[:, :2])
    spectra = ContinuousSpectrum.of(density).at(points) * (plane.norm(dim=-1) < 0.5)
    spectra = spectra * transfer * (transfer if premultiplied else 1)
    images = from_half_spectrum(spectra.unsqueeze(-3), (1, n, n)).squeeze(-3)
    volume, weight, _ = matched_sum(images, transfer, frames, premultiplied)
    radius = half_frequencies((n, n, n), dtype=torch.float64).norm(dim=-1)
    seen = (radius < 0.25) & (weight > 0.2 * weight.max())
    truth, made = to_half_spectrum(density), to_half_spectrum(volume) / weight.clamp_min(1e-9)
    assert float((made - truth)[seen].norm() / truth[seen].norm()) < 0.15


def test_the_weight_counts_each_coefficient_of_each_image_once():
    n = 16
    frames = _frames(range(-60, 61, 6)).double()
    transfer = _optics(len(frames), exposure=20.0).transfer(n, 4.0)
    images = torch.zeros(len(frames), n, n, dtype=torch.float64)
    _, response, _ = matched_sum(images, transfer, frames, True)
    inside = half_frequencies((1, n, n), dtype=torch.float64)[0, ..., :2].norm(dim=-1) < 0.5
    once = torch.full((n, n // 2 + 1), 2.0, dtype=torch.float64)
    once[:, 0] = 1
    count = torch.full((n // 2 + 1,), 2.0, dtype=torch.float64)
    count[0] = count[-1] = 1
    # What the clamp at zero removes between the images is small.
    assert float((response * count).sum()) == pytest.approx(float((transfer**2 * inside * once).sum()), rel=0.08)


def test_the_noise_is_told_also_where_it_leaks_in_from_neighbours():
    """Noise in the images, whitened, has power one: near the zeros of the CTF it would be several times that by w."""
    n = 24
    frames = _frames(range(-60, 61, 3))
    transfer = _optics(len(frames)).transfer(n, 4.0).float()
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(8, len(frames), 1, n, n, generator=generator)
    spectra = to_half_spectrum(images) * transfer[:, None]
    power = 0.0
    for image in from_half_spectrum(spectra, (1, n, n)).squeeze(-3):
        volume, weight, noise = matched_sum(image, transfer, frames, True)
        power = power + to_half_spectrum(volume).abs().square() / (8 * n**2)
    radius = half_frequencies((n, n, n)).norm(dim=-1)
    seen = (weight > 0) & (radius < 0.45)
    leaked = seen & (noise > 1.5 * weight)
    assert int(leaked.sum()) > 50
    assert 0.75 < float((power / noise)[seen].mean()) < 1.2
    assert float((power / weight)[leaked].mean()) > 1.5
