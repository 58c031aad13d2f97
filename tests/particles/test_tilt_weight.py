"""Wedges about other axes than y, double tilts, and tilts one by one."""

import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import half_frequencies
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.dose import remaining_signal
from torchsag.imaging.wedge import missing_wedge as _missing_wedge
from torchsag.particles import Tilt, TiltRange, TiltScheme
from torchsag.particles.tilt_weight import scheme_weight


def missing_wedge(box, low, high, axis_deg=0.0):
    return _missing_wedge(box, float(low), float(high), axis_deg=float(axis_deg))


def _swapped(wedge, n):
    """A half-spectrum weight as a full array, x and y exchanged."""
    full = torch.empty(n, n, n)
    grid = [torch.arange(n)] * 3
    z, y, x = torch.meshgrid(*grid, indexing="ij")
    inside = x <= n // 2
    full[inside] = wedge[z[inside], y[inside], x[inside]]
    out = ~inside
    full[out] = wedge[(-z[out]) % n, (-y[out]) % n, (-x[out]) % n]
    return full


@pytest.mark.parametrize("n", [11, 12])
def test_a_wedge_about_x_is_that_about_y_with_x_and_y_exchanged(n):
    about_y = _swapped(missing_wedge((n, n, n), -60, 40), n)
    about_x = _swapped(missing_wedge((n, n, n), -60, 40, axis_deg=90), n)
    # A turn by 90 degrees takes (x, y) to (-y, x); the wedge does not depend on the coordinate along its axis.
    inner = about_y[:, 0, :]
    ours = about_x[:, :, 0]
    rows = slice(1, n // 2) if n % 2 == 0 else slice(0, n)
    torch.testing.assert_close(ours[:, rows], inner[:, rows])


@pytest.mark.parametrize("n", [15, 16])
def test_the_wedge_turns_with_its_axis(n):
    frequencies = half_frequencies((n, n, n), dtype=torch.float64)
    for axis in (30.0, -75.0, 140.0):
        turn = math.radians(axis)
        across = frequencies[..., 0] * math.cos(turn) + frequencies[..., 1] * math.sin(turn)
        # The angle of the image that measures a coefficient.
        angle = torch.rad2deg(torch.atan2(-frequencies[..., 2] * across.sign(), across.abs()))
        clear = ((angle + 50).abs() > 1) & ((angle - 60).abs() > 1) & (across.abs() > 1e-3)
        clear &= (frequencies.abs() < 0.5).all(-1)
        expected = ((angle >= -50) & (angle <= 60)).float()
        wedge = missing_wedge((n, n, n), -50, 60, axis_deg=axis)
        assert clear.sum() > 1000
        torch.testing.assert_close(wedge[clear], expected[clear])


def test_an_axis_in_the_other_direction_turns_the_signs():
    box = (12, 12, 12)
    assert torch.equal(missing_wedge(box, -60, 40, axis_deg=180), missing_wedge(box, -40, 60))
    assert torch.equal(missing_wedge(box, -60, 40, axis_deg=-180), missing_wedge(box, -40, 60))
    assert torch.equal(missing_wedge(box, -60, 40, axis_deg=30), missing_wedge(box, -40, 60, axis_deg=210))


def test_a_double_tilt_measured_what_either_series_measured():
    box = (16, 16, 16)
    scheme = TiltScheme((TiltRange(-60.0, 60.0), TiltRange(-50.0, 40.0, 90.0)))
    expected = torch.maximum(missing_wedge(box, -60, 60), missing_wedge(box, -50, 40, axis_deg=90))
    assert torch.equal(scheme_weight(box, 4.0, scheme), expected)


def test_dense_tilts_one_by_one_are_the_wedge():
    n = 24
    dense = TiltScheme(tilts=tuple(Tilt(float(a)) for a in range(-60, 61)))
    weight, wedge = scheme_weight((n, n, n), 4.0, dense), missing_wedge((n, n, n), -60, 60)
    assert weight[wedge > 0].min() > 0.99
    frequencies = half_frequencies((n, n, n))
    kx, kz = frequencies[..., 0], frequencies[..., 2].abs()
    outside = n * (kz * math.cos(math.radians(60)) - kx * math.sin(math.radians(60))) > 1.001
    assert outside.sum() > 500
    assert weight[outside].max() < 1e-6


def test_sparse_tilts_leave_gaps():
    n = 32
    weight = scheme_weight((n, n, n), 4.0, TiltScheme(tilts=(Tilt(0.0), Tilt(30.0))))
    assert weight[0, 5, 7] == 1  # in the untilted plane
    assert weight[2, 0, 15] == 0  # between the planes
    assert weight[0, 0, 0] == 1


def test_an_image_carries_its_ctf_and_its_dose():
    n, voxel = 32, 5.0
    scope = Microscope(200.0, 2.0, 0.1)
    weight = scheme_weight((n, n, n), voxel, TiltScheme(tilts=(Tilt(0.0, 0.0, 2.5, 40.0),), microscope=scope))
    radius = torch.arange(n // 2 + 1) / (n * voxel)
    expected = scope.ctf(radius.double(), -2.5).abs() * remaining_signal(radius.double(), 40.0, 200.0)
    torch.testing.assert_close(weight[0, 0].double(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "make", [lambda: Tilt(91.0), lambda: Tilt(math.nan), lambda: TiltRange(-60.0, 60.0, math.nan), lambda: TiltScheme()]
)
def test_nonsense_is_refused(make):
    with pytest.raises(InputError, match="tilt"):
        make()
