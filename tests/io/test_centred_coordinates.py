"""RELION 5 counts angstrom from the centre of a tomogram; numbers worked out as its ``particle_set.cpp`` has it."""

import numpy as np
import pytest
import torch

from torchsag.errors import InputError
from torchsag.io import convert_list
from torchsag.io.lists import read_list
from torchsag.io.mrc import write_mrc
from torchsag.io.star import Loop, read_star
from torchsag.io.tilt_stacks import CENTRED

SIZES = "_rlnTomoName\n_rlnTomoSizeX\n_rlnTomoSizeY\n_rlnTomoSizeZ\n_rlnTomoTiltSeriesPixelSize"


@pytest.fixture
def table(tmp_path):
    """One particle of a Dynamo table at voxel (510, 430, 255) of tomogram 7."""
    row = ["0"] * 35
    row[0], row[1], row[19], row[23:26] = "1", "1", "7", ["510", "430", "255"]
    (tmp_path / "list.tbl").write_text(" ".join(row) + "\n")
    return tmp_path / "list.tbl"


def _tomograms(path, rows="7 4000 3600 2000 3"):
    path.write_text(f"data_global\n\nloop_\n{SIZES}\n{rows}\n")
    return path


def _written(path):
    particles, optics = (read_star(path)[name] for name in ("particles", "optics"))
    assert isinstance(particles, Loop)
    assert isinstance(optics, Loop)
    return [float(particles.columns[name][0]) for name in CENTRED], particles.columns, optics.columns


@pytest.mark.parametrize("beside", [True, False])
def test_voxels_from_the_corner_become_angstrom_from_the_centre(table, tmp_path, beside):
    folder = tmp_path if beside else tmp_path / "project"
    folder.mkdir(exist_ok=True)
    star = _tomograms(folder / "tomograms.star")
    out = tmp_path / "lists" / "out.star"
    convert_list(table, out, voxel_size_angstrom=12.0, tomograms=None if beside else star)
    # 510 x 12 - 4000 x 3 / 2 and so on; RELION 4 counts the pixels of the tilt series from the corner.
    centred, columns, optics = _written(out)
    assert centred == [120.0, -240.0, 60.0]
    assert [float(columns[f"rlnCoordinate{axis}"][0]) for axis in "XYZ"] == [2040.0, 1720.0, 1020.0]
    assert columns["rlnTomoName"] == ["7"]
    assert float(optics["rlnTomoTiltSeriesPixelSize"][0]) == 3
    assert "# version 50001" in out.read_text()
    torch.testing.assert_close(read_list(out).positions, read_list(table).positions)


def test_the_tomogram_itself_tells_its_size(table, tmp_path):
    (tmp_path / "tomograms").mkdir()
    write_mrc(tmp_path / "tomograms" / "7.mrc", np.zeros((50, 90, 100), "f4"), 120.0)
    convert_list(table, tmp_path / "out.star", voxel_size_angstrom=12.0, tomograms=tmp_path / "tomograms")
    assert _written(tmp_path / "out.star")[0] == [120.0, -240.0, 60.0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["8.mrc"], "^tomograms: expected a file of tomogram 7 of .*, got 8.mrc; name it 7.mrc$"),
        (["7.mrc", "7.rec"], "^tomograms: 7.mrc, 7.rec in .* could all be tomogram 7 of "),
        (None, "^tomograms: no such file or folder: .*; check the path$"),
    ],
)
def test_what_is_said_of_tomograms_names_the_key_of_this_command(table, tmp_path, files, message):
    folder = tmp_path / "tomograms"
    if files is not None:
        folder.mkdir()
    for name in files or ():
        (folder / name).touch()
    with pytest.raises(InputError, match=message):
        convert_list(table, tmp_path / "out.star", voxel_size_angstrom=12.0, tomograms=folder)


def test_tomograms_of_warptools_leave_the_particles_voxels(table, tmp_path):
    star = _tomograms(tmp_path / "tomograms.star")
    star.write_text(
        star.read_text()
        + "\ndata_7\n\nloop_\n_rlnTomoProjX\n_rlnTomoProjY\n_rlnTomoProjZ\n[1,0,0,0] [0,1,0,0] [0,0,1,0]\n"
    )
    convert_list(table, tmp_path / "out.star", voxel_size_angstrom=12.0)
    centred, columns, _ = _written(tmp_path / "out.star")
    assert centred == [120.0, -240.0, 60.0]
    assert float(columns["rlnCoordinateX"][0]) == 510
    torch.testing.assert_close(read_list(tmp_path / "out.star").positions, read_list(table).positions)


@pytest.mark.parametrize(
    ("rows", "message"),
    [("8 4000 3600 2000 3", "tomogram 7 is not in"), ("7 400 360 200 3", "expected a position within its tomogram of")],
)
def test_a_tomogram_that_does_not_fit_is_said(table, tmp_path, caplog, rows, message):
    """By a refusal where it was named, and by leaving voxels as they are where it lay beside the list."""
    star = _tomograms(tmp_path / "tomograms.star", rows)
    with pytest.raises(InputError, match=message):
        convert_list(table, tmp_path / "out.star", voxel_size_angstrom=12.0, tomograms=star)
    assert not (tmp_path / "out.star").exists()
    convert_list(table, tmp_path / "out.star", voxel_size_angstrom=12.0)
    assert message in caplog.text
    assert CENTRED[0] not in (tmp_path / "out.star").read_text()


def test_tomograms_are_asked_for_by_relion_alone(table, tmp_path):
    with pytest.raises(InputError, match="only RELION's lists count from the centre"):
        convert_list(table, tmp_path / "out.csv", tomograms=_tomograms(tmp_path / "t.star"))
    (tmp_path / "in.csv").write_text("volume\na.mrc\n")
    with pytest.raises(InputError, match=r"in\.csv gives no positions"):
        convert_list(tmp_path / "in.csv", tmp_path / "o.star", voxel_size_angstrom=4.0, tomograms=tmp_path / "t.star")
