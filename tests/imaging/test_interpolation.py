"""Truth: interpolants against scipy, their own derivatives, and the responses their docstrings claim."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from torchsag.errors import InputError
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.interpolation import Interpolant, Interpolation
from torchsag.imaging.sampling import voxel_positions
from torchsag.imaging.spline_plain import spline_values_and_gradients
from torchsag.imaging.spline_sampling import sample_spline, sample_spline_with_gradient
from torchsag.imaging.trilinear import Trilinear

BOXES = [(8, 8, 8), (9, 9, 9), (6, 9, 8)]
ALL = [Trilinear(1), Trilinear(2), CubicSpline(1), CubicSpline(2)]


def noise(box, seed=0):
    return torch.randn(box, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_points(box, count=300, seed=3, reach=0.6):
    unit = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5
    return unit * 2 * reach * torch.tensor(box[::-1], dtype=torch.float64)


@pytest.mark.parametrize("interpolation", ALL)
def test_contract(interpolation):
    assert isinstance(interpolation, Interpolation)
    assert isinstance(interpolation.prepare(noise((4, 4, 4))), Interpolant)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("interpolation", ALL)
def test_voxels_are_reproduced(interpolation, box):
    volume = noise(box)
    torch.testing.assert_close(interpolation.prepare(volume)(voxel_positions(box, dtype=torch.float64)), volume)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("interpolation", "order"), [(Trilinear(1), 1), (CubicSpline(1), 3)])
def test_agrees_with_scipy_inside_and_outside_the_box(interpolation, order, box):
    volume, points = noise(box), random_points(box)
    index = points.numpy()[:, ::-1] + np.array([n // 2 for n in box])
    # scipy's own border rules differ by order: zeros all around make them irrelevant.
    padded = np.pad(volume.numpy(), 16)
    expected = ndimage.map_coordinates(padded, (index + 16).T, order=order)
    np.testing.assert_allclose(interpolation.prepare(volume)(points).numpy(), expected, atol=2e-7)


@pytest.mark.parametrize("interpolation", ALL)
def test_gradient_is_that_of_the_values(interpolation):
    box = (7, 8, 9)
    interpolant, points = interpolation.prepare(noise(box)), random_points(box)
    leaf = points.clone().requires_grad_()
    expected = interpolant(leaf)
    (slope,) = torch.autograd.grad(expected.sum(), leaf)
    values, gradients = interpolant.with_gradient(points)
    torch.testing.assert_close(values, expected.detach())
    torch.testing.assert_close(gradients, slope)


@pytest.mark.parametrize("interpolation", ALL)
def test_gradcheck_in_points_and_volume(interpolation):
    volume = noise((3, 4, 2)).requires_grad_()
    points = random_points((3, 4, 2), 8, reach=0.7).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, p: interpolation.prepare(v)(p), (volume, points))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_loops_agree_with_plain_tensors(dtype):
    table = noise((7, 8, 9)).to(dtype)
    index = random_points((7, 8, 9), reach=0.8).to(dtype) + 4
    values, gradients = spline_values_and_gradients(table, index)
    torch.testing.assert_close(sample_spline(table, index), values)
    fast_values, fast_gradients = sample_spline_with_gradient(table, index)
    torch.testing.assert_close(fast_values, values)
    torch.testing.assert_close(fast_gradients, gradients)


@pytest.mark.parametrize(
    ("interpolation", "passed"),
    [(Trilinear(1), 0.57), (Trilinear(2), 0.87), (CubicSpline(1), 0.83), (CubicSpline(2), 0.995)],
)
def test_response_at_four_fifths_of_the_sampling_limit(interpolation, passed):
    box = (20, 20, 20)
    phase = 2 * math.pi * 0.4 * voxel_positions(box, dtype=torch.float64)[..., 0]
    points = random_points(box, 4000, reach=0.25)
    wave = torch.cos(2 * math.pi * 0.4 * points[:, 0])
    seen = interpolation.prepare(torch.cos(phase))(points)
    assert float((seen * wave).sum() / wave.square().sum()) == pytest.approx(passed, abs=0.02)


@pytest.mark.parametrize("component", [Trilinear, CubicSpline])
def test_oversampling_below_one_is_refused(component):
    with pytest.raises(InputError, match="at least 1"):
        component(0)


def test_flat_volume_is_refused_by_trilinear():
    with pytest.raises(InputError, match="2 voxels"):
        Trilinear(1).prepare(torch.zeros(1, 4, 4))
