import csv
import math

import mrcfile
import numpy as np
import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import half_shells, half_weight
from torchsag.fourier.transforms import full_weight
from torchsag.imaging.wedge import missing_wedge


def _coordinates(n):
    axis = torch.arange(n) - n // 2
    z, _, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return z.double(), x.double()


@pytest.mark.parametrize("n", [16, 17])
@pytest.mark.parametrize(("low", "high"), [(-60.0, 60.0), (-40.0, 65.0), (-76.0, 46.0)])
def test_an_image_at_tilt_a_measures_the_plane_kz_is_minus_kx_tan_a(n, low, high):
    z, x = _coordinates(n)
    # Angle of each coefficient's plane, in (-90, 90]: kz = -kx tan(angle).
    angle = torch.rad2deg(torch.atan2(-z * torch.sign(x), x.abs()))
    inside = (x != 0) & (angle > low + 1e-6) & (angle < high - 1e-6)
    outside = (angle < low - 1e-6) | (angle > high + 1e-6)
    kept = full_weight(missing_wedge((n, n, n), low, high), (n, n, n))
    # In an even box frequency -n/2 stands for both +n/2 and -n/2: either tilt may have measured it.
    clear = (x > -n / 2) & (z > -n / 2)
    assert bool((kept[inside & clear] == 1).all())
    assert bool((kept[outside & clear & (x != 0)] == 0).all())


@pytest.mark.parametrize("n", [16, 17])
def test_the_beams_direction_is_missing_and_the_tilt_axis_is_measured(n):
    wedge = missing_wedge((n, n, n), -60.0, 60.0)
    assert bool((wedge[1:, :, 0] == 0).all())  # kx = 0, kz != 0
    assert bool((wedge[0] == 1).all())  # kz = 0


@pytest.mark.parametrize("n", [16, 17])
def test_wedge_is_the_same_at_k_and_minus_k(n):
    weight = full_weight(missing_wedge((n, n, n), -50.0, 70.0), (n, n, n))
    inner = weight if n % 2 else weight[1:, 1:, 1:]
    assert torch.equal(inner, inner.flip(0, 1, 2))


def test_share_of_the_sphere_is_the_tilt_range():
    n = 64
    axis = torch.arange(n) - n // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    ball = (z**2 + y**2 + x**2 < 31**2) & (z**2 + y**2 + x**2 > 16)
    weight = full_weight(missing_wedge((n, n, n), -60.0, 60.0), (n, n, n))
    assert float(weight[ball].mean()) == pytest.approx(120 / 180, abs=0.02)


def test_full_range_measures_everything():
    assert bool((missing_wedge((12, 12, 12), -90.0, 90.0) == 1).all())


@pytest.mark.parametrize(("low", "high"), [(60.0, -60.0), (-91.0, 60.0), (-60.0, 91.0), (10.0, 10.0)])
def test_an_impossible_range_is_refused(low, high):
    with pytest.raises(InputError, match="tilt range: expected"):
        missing_wedge((8, 8, 8), low, high)


def test_sign_agrees_with_the_weights_of_real_particles(shared_data):
    folder = shared_data / "ribosome70s"
    with open(folder / "particles.csv") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows[:3]:
        measured = half_weight(torch.from_numpy(mrcfile.read(folder / row["weight"]).astype(np.float32))) > 0
        n = measured.shape[0]
        # The files are zero beyond a sphere, and filled in near the centre where neighbouring tilts overlap.
        shells = half_shells((n, n, n))
        judged = (shells > n // 4) & (shells < n // 2 - 1)
        low, high = float(row["tilt_min_deg"]), float(row["tilt_max_deg"])
        same, mirrored = (
            float(((missing_wedge((n, n, n), *limits) > 0) == measured)[judged].float().mean())
            for limits in ((low, high), (-high, -low))
        )
        assert same > 0.88
        assert mirrored < 0.75


def test_limits_are_angles_not_tangents():
    # At 45 degrees the edge runs along the diagonal of (kx, kz), which belongs to the wedge.
    n = 16
    wedge = missing_wedge((n, n, n), -45.0, 45.0)
    diagonal = [float(wedge[k, 0, k]) for k in range(n // 2)]
    beyond = [float(wedge[k + 1, 0, k]) for k in range(n // 2 - 1)]
    assert diagonal == [1.0] * len(diagonal)
    assert beyond == [0.0] * len(beyond)
    assert math.isclose(float(wedge[0, 0, 0]), 1.0)
