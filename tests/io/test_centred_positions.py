"""RELION 5's centred coordinates against the number of its own function."""

import pytest

from torchsag.errors import InputError
from torchsag.io import convert_list
from torchsag.io.lists import read_list


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


def test_positions_count_voxels_from_the_corner(project):
    # RELION 5.0.1: (100 / 2.5 + 2000, -200 / 2.5 + 2000, 50 / 2.5 + 1000), binned by 4.
    assert read_list(project / "set.star").positions.tolist() == [[510.0, 480.0, 255.0]]
    convert_list(project / "set.star", project / "a.tbl")
    assert [float(v) for v in (project / "a.tbl").read_text().split()[23:26]] == [510, 480, 255]


def test_a_tomogram_without_a_size_is_named(project):
    text = (project / "tomograms.star").read_text()
    (project / "tomograms.star").write_text(text.replace("t1 ", "t2 "))
    with pytest.raises(InputError, match=r"entry 1: tomogram t1 is not in .*tomograms\.star"):
        read_list(project / "set.star")
