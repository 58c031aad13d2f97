"""Triangles of a map's surface: where they lie, how they come back from a page, and what a page needs to turn them."""

import base64
import zlib

import numpy as np
import pytest

from torchsag.report import turnable
from torchsag.report.maps import map_section
from torchsag.report.mesh import Mesh
from torchsag.report.page import Headline, render

BOX = 32


def ball(radius=8.0, centre=(0.0, 0.0, 0.0), box=BOX):
    """A smooth ball; centre in x, y, z from the middle of the box."""
    z, y, x = np.mgrid[:box, :box, :box] - (box - 1) / 2
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    return 1 / (1 + np.exp(distance - radius))


def test_vertices_lie_on_the_contour():
    volume = ball()
    mesh = Mesh.of(volume)
    level = volume.mean() + 2 * volume.std()
    radius = 8.0 + np.log(1 / level - 1)
    lengths = np.linalg.norm(mesh.vertices - mesh.vertices.mean(0), axis=1)
    assert lengths == pytest.approx(radius, abs=0.15)
    assert len(mesh.faces) == 2 * len(mesh.vertices) - 4  # Euler: closed, one piece, no hole


def test_axes_are_x_y_z():
    volume = np.maximum(ball(5.0, (-5.0, 0.0, 0.0)), ball(2.5, (9.0, 0.0, 0.0)))
    mesh = Mesh.of(volume)
    extent = mesh.vertices.max(0) - mesh.vertices.min(0)
    assert extent[0] > 1.5 * extent[1]
    small = mesh.vertices[mesh.vertices[:, 0] > 6]
    assert np.ptp(small[:, 1]) < 8.5


def test_dark_density_has_the_surface_of_bright():
    assert np.allclose(Mesh.of(-ball()).vertices, Mesh.of(ball()).vertices, atol=1e-4)


def test_what_reaches_the_edge_is_closed():
    mesh = Mesh.of(ball(6.0, (14.0, 0.0, 0.0)))
    edges = np.sort(np.concatenate([mesh.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    assert (counts == 2).all()


@pytest.mark.parametrize("most", [2500, 8000])
def test_no_more_vertices_than_asked_for(most):
    assert len(Mesh.of(ball(), most).vertices) <= most


def test_nothing_stands_out_of_nothing():
    assert Mesh.of(np.zeros((8, 8, 8))) is None


def test_a_page_gets_the_triangles_back():
    """What turn.js does, in numpy."""
    mesh = Mesh.of(ball())
    data, count = zlib.decompress(base64.b64decode(mesh.encoded())), len(mesh.vertices)
    levels = np.cumsum(np.frombuffer(data[: 6 * count], "<u2").reshape(3, -1), axis=1, dtype=np.uint16)
    faces = np.cumsum(np.frombuffer(data[6 * count :], "<u4").reshape(3, -1), axis=1, dtype=np.uint32)
    assert np.allclose((levels.T / 32767 - 1) * mesh.radius, mesh.vertices, atol=mesh.radius / 30000)
    assert (mesh.faces == faces.T).all()


def section(**settings):
    return map_section("The map", {"average": ball()}, {"average": np.zeros((3, BOX, BOX))}, 4.0, **settings)


def test_a_map_without_anything_in_it_is_named_and_not_shown():
    flat, images = np.zeros((BOX, BOX, BOX)), np.random.default_rng(0).normal(size=(3, BOX, BOX))
    shown = map_section("Classes", {"a": ball(), "b": flat}, {"a": images, "b": np.zeros((3, BOX, BOX))}, 4.0)
    assert shown.text == "There is nothing in the map of b."
    assert "slice, along z" in shown.pictures[0].markup  # of the one that is left
    nothing = map_section("Classes", {"b": flat}, {"b": np.zeros((3, BOX, BOX))}, 4.0)
    assert nothing.pictures == ()


def page(**settings):
    return render("Average", Headline("Done."), [section(**settings)])


def test_libraries_come_once_and_are_allowed_by_name():
    made = render("Average", Headline("Done."), [section(), section()])
    assert made.count("TrackballControls=") == 1
    assert made.count("text/x-mesh") == 2
    assert len(made) < 2_000_000
    assert "hidden>" in made  # until a script has something to show


def test_a_page_can_do_without(monkeypatch):
    assert "text/x-mesh" not in page(turns=False)
    turnable.viewer_scripts.cache_clear()
    monkeypatch.setattr(turnable, "find_spec", lambda name: None)
    try:
        assert "text/x-mesh" not in page()
        assert "surface, along z" in page()
    finally:
        turnable.viewer_scripts.cache_clear()


def test_another_viewer_is_not_taken_for_this_one(monkeypatch):
    turnable.viewer_scripts.cache_clear()
    monkeypatch.setattr(turnable, "_LIBRARIES", ("<script>", "something that is not there"))
    try:
        assert turnable.viewer_scripts() == ()
    finally:
        turnable.viewer_scripts.cache_clear()


def test_colours_are_those_of_the_values_at_the_surface():
    volume = ball(5.0, (4.0, 0.0, -3.0))
    x = np.broadcast_to(np.arange(BOX, dtype=float), (BOX, BOX, BOX))
    mesh = Mesh.of(volume)
    painted = mesh.coloured(x, 0.0, BOX - 1.0)
    assert mesh.middle + mesh.vertices.mean(0) == pytest.approx([15.5 + 4, 15.5, 15.5 - 3], abs=0.1)
    expected = 255 * (mesh.vertices + mesh.middle)[:, 0] / (BOX - 1)
    assert painted.levels == pytest.approx(expected, abs=1)
    backwards = mesh.coloured(x, BOX - 1.0, 0.0)
    assert backwards.levels.astype(int) + painted.levels == pytest.approx(255, abs=1)
    assert zlib.decompress(base64.b64decode(painted.encoded())).endswith(painted.levels.tobytes())
