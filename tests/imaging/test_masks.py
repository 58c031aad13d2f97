import pytest
import torch

from torchsag.imaging.masks import centred_radius, spherical_mask


@pytest.mark.parametrize("box", [(8, 8, 8), (9, 9, 9), (7, 8, 10)])
def test_radius_is_measured_from_the_box_centre(box):
    radius = centred_radius(box)
    assert float(radius[box[0] // 2, box[1] // 2, box[2] // 2]) == 0
    assert float(radius[0, box[1] // 2, box[2] // 2]) == box[0] // 2
    assert float(radius[box[0] // 2, box[1] // 2, box[2] // 2 - 2]) == 2


@pytest.mark.parametrize("n", [24, 25])
def test_sphere_is_one_inside_zero_outside_and_half_at_its_radius(n):
    mask = spherical_mask((n, n, n), radius=7.0, edge=4.0)
    row = mask[n // 2, n // 2, n // 2 :]
    assert row[:6].tolist() == [1.0] * 6
    assert float(row[7]) == pytest.approx(0.5)
    assert float(row[9:].max()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("n", [24, 25])
def test_volume_of_the_sphere(n):
    assert float(spherical_mask((n, n, n), radius=8.0, edge=2.0).sum()) == pytest.approx(
        4 / 3 * torch.pi * 8**3, rel=0.03
    )


@pytest.mark.parametrize("n", [24, 25])
def test_default_sphere_ends_inside_the_box(n):
    mask = spherical_mask((n, n, n))
    for axis in range(3):
        assert float(mask.select(axis, 0).max()) == pytest.approx(0.0, abs=1e-6)
        assert float(mask.select(axis, n - 1).max()) == pytest.approx(0.0, abs=1e-6)
    assert float(mask.max()) == 1
