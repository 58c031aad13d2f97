import numpy as np
import pytest

from torchsag.geometry import Symmetry
from torchsag.report.sphere import ViewDensity


def test_even_views_make_an_even_density_that_lacks_nothing():
    index = np.arange(20000) + 0.5
    latitude = np.degrees(np.arcsin(1 - 2 * index / len(index)))
    longitude = np.degrees((np.pi * (1 + 5**0.5) * index + np.pi) % (2 * np.pi) - np.pi)
    views = ViewDensity.of(longitude, latitude, Symmetry("C1"))
    assert views.lacking_part == 0
    assert views.density.mean() == pytest.approx(1)
    assert np.abs(views.density - 1).max() < 0.15


def test_single_view_lies_where_it_points_and_on_the_other_side():
    views = ViewDensity.of(np.array([90.0]), np.array([0.0]), Symmetry("C1"))
    longitude, latitude = views.edges()
    for at, near in ((90, True), (-90, True), (0, False), (180 - 1e-6, False)):
        column = np.searchsorted(longitude, np.radians(at)) - 1
        row = np.searchsorted(latitude, 1e-6) - 1
        assert (views.density[row, column] > 5) == near
    assert views.lacking_part > 0.7


def test_symmetry_expands_views_about_its_axes():
    views = ViewDensity.of(np.array([3.0]), np.array([40.0]), Symmetry("C4")).density
    np.testing.assert_allclose(views, np.roll(views, views.shape[1] // 4, axis=1), atol=0.05 * views.max())
    assert views.shape[1] == 60


def test_particles_without_a_pose_are_left_out():
    longitude, latitude = np.array([10.0, np.nan]), np.array([20.0, np.nan])
    np.testing.assert_array_equal(
        ViewDensity.of(longitude, latitude, Symmetry("C1")).density,
        ViewDensity.of(longitude[:1], latitude[:1], Symmetry("C1")).density,
    )
