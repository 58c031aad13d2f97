import numpy as np
import pytest

from torchsag.report.surface import Surface

PIXELS = 64
# Of each picture: the array's axis the viewer looks along, and whether he stands at its far end.
VIEWERS = [(0, True), (1, False), (2, True)]


def blob(center, box=16, radius=2.5):
    grid = np.stack(np.meshgrid(*[np.arange(box)] * 3, indexing="ij"), -1)
    return np.exp(-((grid - np.array(center)) ** 2).sum(-1) / radius**2).astype(np.float32)


@pytest.mark.parametrize(("picture", "viewer"), list(enumerate(VIEWERS)))
def test_what_is_nearer_to_the_viewer_is_brighter_so_that_no_picture_is_mirrored(picture, viewer):
    axis, far_end = viewer
    upright = next(other for other in range(3) if other != axis)
    near, away = np.full(3, 7.5), np.full(3, 7.5)
    near[axis], away[axis] = (12, 3) if far_end else (3, 12)
    near[upright], away[upright] = 3, 12
    image = Surface.of(blob(near) + blob(away), PIXELS).views[picture]
    half = len(image) // 2
    assert np.nanmax(image[:half]) > np.nanmax(image[half:]) + 0.05


def test_outline_is_that_of_the_contour():
    surface = Surface.of(blob((7.5, 7.5, 7.5)), PIXELS)
    covered = np.isfinite(surface.views).mean((1, 2))
    volume = blob((7.5, 7.5, 7.5))
    level = volume.mean() + 2 * volume.std()
    radius = 2.5 * np.sqrt(-np.log(level))
    assert covered == pytest.approx(np.pi * radius**2 / surface.width**2, rel=0.05)


def test_dark_density_is_seen_too():
    bright, dark = Surface.of(blob((7, 8, 6)), PIXELS), Surface.of(-blob((7, 8, 6)), PIXELS)
    assert dark.dark
    assert not bright.dark
    np.testing.assert_allclose(dark.views, bright.views, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.filterwarnings("error")
def test_a_map_in_any_units_is_the_same_surface(scale):
    bright = blob((7, 8, 6)).astype(np.float64)
    expected, found = Surface.of(bright, PIXELS), Surface.of((bright * scale).astype(np.float32), PIXELS)
    assert not found.dark
    np.testing.assert_allclose(found.views, expected.views, atol=1e-3)


def test_map_of_unequal_sides_is_padded():
    views = Surface.of(blob((7, 7, 7))[:, 4:12], PIXELS).views
    assert views.shape[1] == views.shape[2]
    assert np.isfinite(views).any(axis=(1, 2)).all()


def test_empty_map_has_no_surface():
    views = Surface.of(np.zeros((8, 8, 8), dtype=np.float32), PIXELS).views
    assert views.shape[0] == 3
    assert np.isnan(views).all()
