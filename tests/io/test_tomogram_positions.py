"""Positions that need the tomograms: RELION 5 counts from the centre, WarpTools the particles' voxels."""

import numpy as np
import pytest
from tilt_projects import PIXEL, SERIES_PIXEL, SIZE, Project

from torchsag.errors import InputError
from torchsag.io import convert_list
from torchsag.io.lists import read_list


def _positions(path):
    return np.array([[float(x) for x in line.split()[23:26]] for line in path.read_text().splitlines()])


def _centred(folder, tomograms):
    (folder / "particles.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n_rlnTomoTiltSeriesPixelSize\n1 12 3\n\n"
        "data_particles\n\nloop_\n_rlnImageName\n_rlnTomoName\n_rlnOpticsGroup\n_rlnCenteredCoordinateXAngst\n"
        "_rlnCenteredCoordinateYAngst\n_rlnCenteredCoordinateZAngst\na.mrc t 1 120 -240 60\n"
    )
    (folder / "tomograms.star").write_text(tomograms)
    path = folder / "set.star"
    path.write_text(
        "data_optimisation_set\n\n_rlnTomoParticlesFile particles.star\n_rlnTomoTomogramsFile tomograms.star\n"
    )
    return path


def test_centred_coordinates_are_counted_from_the_corner(tmp_path):
    columns = "_rlnTomoName\n_rlnTomoSizeX\n_rlnTomoSizeY\n_rlnTomoSizeZ\n_rlnTomoTiltSeriesPixelSize"
    path = _centred(tmp_path, f"data_global\n\nloop_\n{columns}\nt 4000 3600 2000 3\n")
    convert_list(path, tmp_path / "list.tbl")
    # (120 / 3 + 2000) / 4, (-240 / 3 + 1800) / 4, (60 / 3 + 1000) / 4
    assert _positions(tmp_path / "list.tbl").tolist() == [[510.0, 430.0, 255.0]]


def test_without_the_tomograms_size_there_are_no_positions(tmp_path, caplog):
    path = _centred(tmp_path, "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\nt 3\n")
    convert_list(path, tmp_path / "list.tbl")
    assert "gives no positions" in caplog.text


def test_warptools_coordinates_are_the_particles_voxels(tmp_path, blobs):
    structure = blobs(radius=3.0, count=3)
    project = Project(structure.centres, structure.heights, n=8)
    convert_list(project.write_warp(tmp_path), tmp_path / "list.tbl")
    expected = (np.array(project.positions) + np.array(SIZE) * SERIES_PIXEL / 2) / PIXEL
    np.testing.assert_allclose(_positions(tmp_path / "list.tbl"), expected, atol=1e-3)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "set.star").write_text(
        "data_optimisation_set\n\n_rlnTomoParticlesFile particles.star\n_rlnTomoTomogramsFile tomograms.star\n"
    )
    (tmp_path / "particles.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnTomoTiltSeriesPixelSize\n_rlnImagePixelSize\n1 2.5 10\n\n"
        "data_particles\n\nloop_\n_rlnTomoName\n_rlnImageName\n_rlnOpticsGroup\n"
        "_rlnCenteredCoordinateXAngst\n_rlnCenteredCoordinateYAngst\n_rlnCenteredCoordinateZAngst\n"
        "_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\nt1 t1/1.mrc 1 100 -200 50 0 0 0\n"
    )
    (tmp_path / "tomograms.star").write_text(
        "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoSizeX\n_rlnTomoSizeY\n_rlnTomoSizeZ\n_rlnTomoTiltSeriesPixelSize\n"
        "t0 100 100 100 1\nt1 4000 4000 2000 2.5\n"
    )
    return tmp_path


def test_positions_are_the_number_of_relions_own_function(project):
    # RELION 5.0.1: (100 / 2.5 + 2000, -200 / 2.5 + 2000, 50 / 2.5 + 1000), binned by 4.
    assert read_list(project / "set.star").positions.tolist() == [[510.0, 480.0, 255.0]]
    convert_list(project / "set.star", project / "a.tbl")
    assert [float(v) for v in (project / "a.tbl").read_text().split()[23:26]] == [510, 480, 255]


def test_a_tomogram_without_a_size_is_named(project):
    text = (project / "tomograms.star").read_text()
    (project / "tomograms.star").write_text(text.replace("t1 ", "t2 "))
    with pytest.raises(InputError, match=r"entry 1: tomogram t1 is not in .*tomograms\.star"):
        read_list(project / "set.star")
