"""Lists that RELION reads as they are."""

import logging

import numpy as np
import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import half_weight
from torchsag.imaging.wedge import missing_wedge
from torchsag.io import convert_list, read_particles, write_poses
from torchsag.io.mrc import read_mrc, write_mrc
from torchsag.io.star import Loop, read_star
from torchsag.io.volumes import read_volume
from torchsag.particles import Corrected, TiltRange, VolumeSource


def _columns(path, block="particles"):
    table = read_star(path)[block]
    assert isinstance(table, Loop)
    return table.columns


@pytest.fixture
def listed(write_volumes):
    folder = write_volumes(count=2, n=8)
    (folder / "in.csv").write_text(
        "volume,tilt_min_deg,tilt_max_deg,tx,ty,tz\np0.mrc,-60,60,1,-2,0\np1.mrc,-60,60,0,0,3\n"
    )
    return folder / "in.csv"


def test_optics_origins_and_ctf_images_are_complete(listed, tmp_path):
    convert_list(listed, tmp_path / "out.star")
    optics = _columns(tmp_path / "out.star", "optics")
    assert {name: values[0] for name, values in optics.items()} == {
        "rlnOpticsGroup": "1",
        "rlnOpticsGroupName": "opticsGroup1",
        "rlnVoltage": "300.000000",
        "rlnSphericalAberration": "2.700000",
        "rlnAmplitudeContrast": "0.100000",
        "rlnImagePixelSize": "4.000000",  # from the header of the first volume
        "rlnImageSize": "8",
        "rlnImageDimensionality": "3",
    }
    table = _columns(tmp_path / "out.star")
    assert [float(v) for v in table["rlnOriginXAngst"]] == [-4, 0]
    assert [float(v) for v in table["rlnOriginYAngst"]] == [8, 0]
    assert [float(v) for v in table["rlnOriginZAngst"]] == [0, -12]
    assert "rlnOriginX" not in table
    assert len(set(table["rlnCtfImage"])) == 1
    weight = read_volume(VolumeSource(tmp_path / table["rlnCtfImage"][0]))
    assert weight.shape == (8, 8, 8)
    assert torch.equal(half_weight(weight), missing_wedge((8, 8, 8), -60.0, 60.0))
    # The list says the same to us as before.
    assert read_particles(tmp_path / "out.star").weights == (TiltRange(-60.0, 60.0),) * 2


@pytest.mark.parametrize("place", ["lists", "project/deep"])
def test_names_start_at_the_project_or_beside_the_list(listed, tmp_path, place):
    convert_list(listed, tmp_path / place / "out.star")
    up = "/".join([".."] * len(place.split("/")))
    table = _columns(tmp_path / place / "out.star")
    assert table["rlnImageName"] == [f"{up}/p0.mrc", f"{up}/p1.mrc"]
    assert table["rlnCtfImage"][0].startswith("out_weights/")
    convert_list(listed, tmp_path / place / "out2.star", project=tmp_path)
    table = _columns(tmp_path / place / "out2.star")
    assert table["rlnImageName"] == ["p0.mrc", "p1.mrc"]
    assert table["rlnCtfImage"][0].startswith(f"{place}/out2_weights/")
    for name in ("out.star", "out2.star"):
        assert len(read_particles(tmp_path / place / name)) == 2


def test_no_list_without_the_voxel_size_that_relion_needs(tmp_path):
    row = ["0"] * 35
    row[0], row[1], row[19], row[3] = "1", "1", "1", "2"
    (tmp_path / "t.tbl").write_text(" ".join(row) + "\n")
    with pytest.raises(InputError, match=r"x\.star: RELION needs the voxel size .* give voxel_size_angstrom="):
        convert_list(tmp_path / "t.tbl", tmp_path / "x.star")
    assert not (tmp_path / "x.star").exists()
    convert_list(tmp_path / "t.tbl", tmp_path / "x.star", voxel_size_angstrom=5.0)
    assert float(_columns(tmp_path / "x.star")["rlnOriginXAngst"][0]) == -10


def test_weights_in_half_precision_are_written_anew(write_volumes, tmp_path):
    folder = write_volumes(count=2, n=8)
    weight = np.random.default_rng(0).uniform(size=(8, 8, 8)).astype("f4")
    weight = ((weight + weight[::-1, ::-1, ::-1]) * 64).round() / 128  # exact in float16
    write_mrc(folder / "w16.mrc", weight, 4.0, float16=True)
    write_mrc(folder / "w32.mrc", weight, 4.0)
    (folder / "in.star").write_text(
        "data_torchsag\n_torchsagWeighting transfer\ndata_particles\nloop_\n_rlnImageName\n_torchsagWeightImage\n"
        "p0.mrc w16.mrc\np1.mrc w32.mrc\n"
    )
    convert_list(folder / "in.star", folder / "out.star")
    names = _columns(folder / "out.star")["rlnCtfImage"]
    assert names[1] == "w32.mrc"
    assert names[0].startswith("out_weights/")
    with (folder / names[0]).open("rb") as file:
        assert int.from_bytes(file.read(16)[12:], "little") == 2  # float32
    halves = [half_weight(torch.from_numpy(read_mrc(folder / name).copy())) for name in ("w16.mrc", names[0])]
    torch.testing.assert_close(*halves)


def test_inverse_noise_variances_are_no_ctf_images(write_volumes, caplog):
    folder = write_volumes(count=1, n=8)
    write_mrc(folder / "w.mrc", np.full((8, 8, 8), 2.5, "f4"), 4.0)
    (folder / "in.csv").write_text("volume,weight\np0.mrc,w.mrc\n")
    convert_list(folder / "in.csv", folder / "out.star")
    assert "rlnCtfImage" not in _columns(folder / "out.star")
    assert "written without rlnCtfImage" in caplog.text
    assert isinstance(read_particles(folder / "out.star").weighting, Corrected)


@pytest.mark.parametrize(("n", "said"), [(7, True), (8, False)])
def test_odd_boxes_are_said(write_volumes, caplog, n, said):
    folder = write_volumes(count=1, n=n)
    with caplog.at_level(logging.WARNING):
        convert_list(folder / "p0.mrc", folder / "out.star")
    assert ("the box of 7 voxels is odd" in caplog.text) == said


def test_poses_of_a_run_have_ctf_images_too(listed, tmp_path):
    particles = read_particles(listed)
    write_poses(tmp_path / "run" / "poses.star", particles, particles.poses)
    table = _columns(tmp_path / "run" / "poses.star")
    # RELION runs where the names start.
    assert (listed.parent / table["rlnCtfImage"][0]).is_file()
    assert table["rlnImageName"] == ["p0.mrc", "p1.mrc"]
    again = read_particles(tmp_path / "run" / "poses.star")
    assert again.weights == particles.weights
    torch.testing.assert_close(again.poses.shifts, particles.poses.shifts)
