"""Scripts that show a run's results: what they open is there, and its numbers are those of the list."""

import ast
import csv
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import mrcfile
import numpy as np
import pytest
import torch

from torchsag.geometry import zyz_to_matrix
from torchsag.io import write_map
from torchsag.particles import DensityMap
from torchsag.runs.views import score_colours, write_views

VOXEL, N = 4.0, 8
ROWS = [("TS 1", 10, 20, 30, 0.9), ("TS 1", 15, 25, 35, 0.1), ("b/TS 1", 1, 2, 3, 0.5)]
ANGLES = [(10, 20, 30), (40, 50, 60), (70, 80, 90)]
ORIGIN = -8.0  # angstrom along x: the particle lies two voxels farther than its box


@pytest.fixture
def out(tmp_path):
    """A run's folder with ``average.mrc`` and a ``poses.star`` that gives positions."""
    write_map(tmp_path / "average.mrc", DensityMap(torch.rand(N, N, N), VOXEL))
    columns = ["rlnImageName", "rlnTomoName", "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ", "torchsagScore"]
    columns += ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginZAngst"]
    lines = [
        f"v{k}.mrc '{name}' {x} {y} {z} {score} {' '.join(map(str, angles))} {ORIGIN} 0 0"
        for k, ((name, x, y, z, score), angles) in enumerate(zip(ROWS, ANGLES, strict=True))
    ]
    optics = f"data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n1 {VOXEL}\n\n"
    header = "data_particles\n\nloop_\n" + "".join(f"_{name}\n" for name in columns)
    (tmp_path / "poses.star").write_text(optics + header + "\n".join(lines) + "\n")
    write_views(tmp_path, "average.mrc", VOXEL, N)
    return tmp_path


def expected_places():
    return np.array([[(x * VOXEL) - ORIGIN, y * VOXEL, z * VOXEL] for _, x, y, z, _ in ROWS])


def test_the_table_holds_places_scores_and_axes(out):
    rows = list(csv.DictReader((out / "views/particles.csv").read_text().splitlines()))
    assert [row["tomogram"] for row in rows] == [name for name, *_ in ROWS]
    found = np.array([[float(row[f"{axis}_angstrom"]) for axis in "xyz"] for row in rows])
    np.testing.assert_allclose(found, expected_places(), atol=1e-2)
    assert [float(row["score"]) for row in rows] == [0.9, 0.1, 0.5]
    axes = zyz_to_matrix(torch.deg2rad(torch.tensor(ANGLES, dtype=torch.float64)))[:, :, 2].numpy()
    np.testing.assert_allclose([[float(row[f"z_axis_{a}"]) for a in "xyz"] for row in rows], axes, atol=1e-4)


def test_each_tomogram_has_markers_coloured_by_score(out):
    files = sorted(path.name for path in (out / "views").glob("*.cmm"))
    assert files == ["TS_1.cmm", "TS_1_1.cmm"]
    markers = [node.attrib for name in files for node in ElementTree.parse(out / "views" / name).getroot()]
    places = [[float(one[axis]) for axis in "xyz"] for one in markers]
    np.testing.assert_allclose(places, expected_places(), atol=1e-2)
    brightness = [sum(float(one[c]) for c in "rgb") for one in markers]
    assert brightness[1] < brightness[2] < brightness[0]


def test_chimerax_opens_what_is_there(out):
    script = (out / "views/chimerax.cxc").read_text().splitlines()
    opened = [line.split('"')[1] for line in script if line.startswith("open ")]
    assert opened == ["../average.mrc", "TS_1.cmm"]  # the tomogram with most particles
    assert all((out / "views" / name).is_file() for name in opened)
    assert '# open "TS_1_1.cmm"' in script


def test_classes_are_opened_side_by_side(out, monkeypatch):
    for number in (1, 2):
        shutil.copy(out / "average.mrc", out / f"class_00{number}.mrc")
    (line,) = write_views(out, ["class_001.mrc", "class_002.mrc"], VOXEL, N)
    assert "the maps and the particles" in line
    script = (out / "views/chimerax.cxc").read_text().splitlines()
    assert script[2:8] == [
        'open "../class_001.mrc" name class_001', "volume #1 style surface sdLevel 3",
        'open "../class_002.mrc" name class_002', "volume #2 style surface sdLevel 3",
        "tile #1-2", "view",
    ]  # fmt: skip
    assert set(run_script(out, monkeypatch)) == {"image"}
    assert Viewer.last.images == ["class_001.mrc", "class_002.mrc"]
    assert Viewer.last.grid.enabled


class Viewer:
    """Stands in for napari's, and notes what it is given."""

    def __init__(self, **_):
        self.layers, self.images, self.grid = {}, [], SimpleNamespace(enabled=False)
        Viewer.last = self

    def add_image(self, data, name, scale):
        self.layers["image"] = (data.shape, scale)
        self.images.append(name)

    def add_points(self, data, **settings):
        self.layers["points"] = (np.array(data), settings)

    def add_vectors(self, data, **settings):
        self.layers["vectors"] = data


def run_script(out, monkeypatch, *words):
    monkeypatch.setitem(sys.modules, "napari", SimpleNamespace(Viewer=Viewer, run=lambda: None))
    script = out / "views/view_in_napari.py"
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
    runpy.run_path(str(script), run_name="__main__")
    return Viewer.last.layers


def test_napari_is_given_the_map(out, monkeypatch):
    assert run_script(out, monkeypatch) == {"image": ((N, N, N), [VOXEL] * 3)}


def test_napari_is_given_a_tomogram_with_its_particles(out, monkeypatch):
    with mrcfile.new(out / "tomogram.mrc") as file:
        file.set_data(np.zeros((5, 6, 7), np.float32))
        file.voxel_size = 8.0
    layers = run_script(out, monkeypatch, out / "tomogram.mrc", "TS 1")
    assert layers["image"] == ((5, 6, 7), [8.0] * 3)
    points, settings = layers["points"]
    np.testing.assert_allclose(points, expected_places()[:, ::-1], atol=1e-2)
    assert settings["properties"] == {"score": [0.9, 0.1, 0.5]}
    lengths = np.linalg.norm(layers["vectors"][:, 1], axis=1)
    np.testing.assert_allclose(lengths, N * VOXEL / 4, rtol=1e-3)
    with pytest.raises(SystemExit, match=r"no particles of other.mrc"):
        run_script(out, monkeypatch, out / "tomogram.mrc", "other.mrc")


def test_without_positions_the_map_alone_is_shown(tmp_path):
    (tmp_path / "poses.star").write_text("data_particles\n\nloop_\n_rlnImageName\nv.mrc\n")
    (line,) = write_views(tmp_path, "average.mrc", VOXEL, N)
    assert "particles" not in line
    assert {path.name for path in (tmp_path / "views").iterdir()} == {"chimerax.cxc", "view_in_napari.py"}
    ast.parse((tmp_path / "views/view_in_napari.py").read_text())


def test_equal_and_missing_scores_have_a_colour():
    colours = score_colours(torch.tensor([0.5, 0.5, float("nan")]))
    assert torch.isfinite(colours).all()
    assert torch.equal(colours[0], colours[2])
    assert torch.isfinite(score_colours(torch.full((2,), float("nan")))).all()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("napari") is None, reason="napari is not installed")
def test_napari_itself_opens_the_layers(out):
    with mrcfile.new(out / "tomogram.mrc") as file:
        file.set_data(np.zeros((5, 6, 7), np.float32))
    python = Path(shutil.which("napari")).parent / "python"
    code = (
        "import napari, runpy, sys; from napari.components import ViewerModel; napari.run = lambda: None; made = []\n"
        "napari.Viewer = lambda title, ndisplay: made.append(ViewerModel(title=title, ndisplay=ndisplay)) or made[0]\n"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "print([layer.name for layer in made[0].layers], made[0].layers['particles'].face_color.shape)"
    )
    words = [out / "views/view_in_napari.py", out / "tomogram.mrc", "TS 1"]
    done = subprocess.run([python, "-c", code, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "['tomogram.mrc', 'particles', 'z axes'] (3, 4)", done.stderr
