import math

import pytest
import torch

from torchsag.fourier import (
    frequency_axes,
    from_half_spectrum,
    half_frequencies,
    half_shells,
    half_weight,
    hermitian_multiplicity,
    phase_ramp,
    to_half_spectrum,
    to_spectrum,
)
from torchsag.fourier.transforms import full_weight

BOXES = [(8, 8, 8), (9, 9, 9), (8, 9, 10), (7, 6, 5)]


def _volume(box, seed=0, batch=()):
    return torch.randn(*batch, *box, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _slow_spectrum(volume):
    """The defining sum: one exponential per axis, frequencies -n//2 .. , origin at voxel n // 2."""
    result = volume.to(torch.complex128)
    for axis in range(3):
        n = volume.shape[axis]
        index = torch.arange(n, dtype=torch.float64) - n // 2
        kernel = torch.exp(-2j * math.pi * index[:, None] * index[None, :] / n)
        result = torch.tensordot(kernel, result, dims=([1], [axis])).movedim(0, axis)
    return result


@pytest.mark.parametrize("box", BOXES)
def test_spectrum_is_the_defining_sum_about_the_box_centre(box):
    volume = _volume(box)
    torch.testing.assert_close(to_spectrum(volume), _slow_spectrum(volume))


@pytest.mark.parametrize("box", BOXES)
def test_half_spectrum_is_the_non_negative_half_in_fft_order(box):
    volume = _volume(box)
    full = torch.fft.ifftshift(_slow_spectrum(volume), dim=(-3, -2, -1))
    torch.testing.assert_close(to_half_spectrum(volume), full[..., : box[2] // 2 + 1])


@pytest.mark.parametrize("box", BOXES)
def test_round_trip_keeps_a_batch_of_volumes(box):
    volume = _volume(box, batch=(2, 3))
    torch.testing.assert_close(from_half_spectrum(to_half_spectrum(volume), box), volume)


@pytest.mark.parametrize("box", BOXES)
def test_a_point_at_the_centre_has_a_flat_real_spectrum(box):
    volume = torch.zeros(box, dtype=torch.float64)
    volume[box[0] // 2, box[1] // 2, box[2] // 2] = 1
    torch.testing.assert_close(to_half_spectrum(volume), torch.ones_like(to_half_spectrum(volume)))


@pytest.mark.parametrize("box", BOXES)
def test_frequencies_and_shells_describe_the_layout(box):
    z, y, x = box
    frequencies = half_frequencies(box, dtype=torch.float64)
    for axis, (n, picked) in enumerate(zip((x, y), (frequencies[0, 0, :, 0], frequencies[0, :, 0, 1]), strict=True)):
        expected = torch.tensor([i if i < (n + 1) // 2 else i - n for i in range(len(picked))], dtype=torch.float64) / n
        torch.testing.assert_close(picked.abs() if axis == 0 else picked, expected.abs() if axis == 0 else expected)
    assert frequencies[1, 0, 0].tolist() == [0, 0, 1 / z]
    shells = half_shells(box)
    assert shells[0, 0, 0] == 0
    assert shells[1, 0, 0] == round(max(box) / z)


@pytest.mark.parametrize("box", BOXES)
def test_multiplicity_counts_every_coefficient_of_the_full_spectrum_once(box):
    assert float(hermitian_multiplicity(box).sum()) == math.prod(box)
    volume = _volume(box)
    power = (to_half_spectrum(volume).abs().square() * hermitian_multiplicity(box)).sum()
    torch.testing.assert_close(power, volume.square().sum() * math.prod(box))


@pytest.mark.parametrize("box", BOXES)
def test_phase_ramp_moves_a_volume_by_whole_voxels(box):
    volume = _volume(box)
    shift = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    spectrum = to_half_spectrum(volume) * phase_ramp(half_frequencies(box, dtype=torch.float64), shift)
    torch.testing.assert_close(from_half_spectrum(spectrum, box), volume.roll((3, -2, 1), (0, 1, 2)))


def test_phase_ramp_moves_a_smooth_volume_by_a_fraction_of_a_voxel():
    n, shift = 24, torch.tensor([0.4, -1.3, 0.7], dtype=torch.float64)
    axis = torch.arange(n, dtype=torch.float64) - n // 2

    def blob(x, y, z):
        fz, fy, fx = (torch.exp(-((axis - c) ** 2) / 8) for c in (z, y, x))
        return fz[:, None, None] * fy[:, None] * fx

    spectrum = to_half_spectrum(blob(1.0, 2.0, -1.0))
    moved = from_half_spectrum(spectrum * phase_ramp(half_frequencies((n, n, n), dtype=torch.float64), shift), (n,) * 3)
    torch.testing.assert_close(moved, blob(1.4, 0.7, -0.3), atol=1e-5, rtol=0)


def test_phase_ramp_has_batch_axes_before_grid_axes_and_a_gradient():
    shifts = torch.zeros(2, 5, 3, dtype=torch.float64, requires_grad=True)
    frequencies = half_frequencies((4, 4, 4), dtype=torch.float64)
    assert phase_ramp(frequencies, shifts).shape == (2, 5, 4, 4, 3)
    assert torch.autograd.gradcheck(lambda s: torch.view_as_real(phase_ramp(frequencies, s)), shifts[0, :2])


@pytest.mark.parametrize("box", BOXES)
def test_half_and_full_weights_are_each_others_inverse(box):
    # A weight as in files: real, symmetric through the zero frequency at n // 2.
    weight = to_spectrum(_volume(box)).abs()
    half = half_weight(weight)
    torch.testing.assert_close(half, to_half_spectrum(_volume(box)).abs())
    torch.testing.assert_close(full_weight(half, box), weight)


def test_what_is_kept_between_calls_serves_gradients_after_an_inference():
    box = (6, 4, 10)  # of no other test: made here first
    with torch.inference_mode():
        to_half_spectrum(torch.ones(box))
    volume = torch.ones(box, requires_grad=True)
    to_half_spectrum(volume).abs().square().sum().backward()
    assert volume.grad is not None


@pytest.mark.parametrize("box", [(4, 5, 6), (6, 4, 7)])
def test_frequencies_are_sums_of_those_on_the_axes(box):
    z, y, x = frequency_axes(box, torch.zeros(1, dtype=torch.float64))
    whole = z[:, None, None] + y[:, None] + x
    torch.testing.assert_close(whole, half_frequencies(box, dtype=torch.float64), check_dtype=False)
