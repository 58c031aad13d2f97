"""One list into all formats and back."""

import logging

import pytest
import torch

from torchsag.errors import InputError
from torchsag.geometry import random_rotations, rotation_distance, zyz_to_matrix
from torchsag.io import convert_list, read_particles
from torchsag.io.lists import read_list
from torchsag.io.star import read_star

TARGETS = {"a.star": None, "motl.star": "stopgap", "a.tbl": None, "a.em": None, "a.xml": None, "a.csv": None}


@pytest.fixture
def source(tmp_path):
    rotations = random_rotations(3, torch.Generator().manual_seed(0), torch.float64)
    names = ",".join(f"R{i}{j}" for i in range(3) for j in range(3))
    lines = [f"volume,tilt_min_deg,tilt_max_deg,tomogram,half,class,{names},tx,ty,tz"]
    for k, rotation in enumerate(rotations):
        values = ",".join(f"{v:.9f}" for v in rotation.flatten().tolist())
        lines.append(f"vols/p_{k + 5}.mrc,-60,55,TS_{k % 2},{k % 2 + 1},{k + 1},{values},{k},-1.5,0.25")
    (tmp_path / "in.csv").write_text("\n".join(lines))
    return tmp_path / "in.csv"


def _same(first, second):
    assert torch.rad2deg(rotation_distance(first.rotations, second.rotations)).max() < 1e-4
    torch.testing.assert_close(first.poses(4.0).shifts, second.poses(4.0).shifts, atol=1e-5, rtol=0)
    assert first.classes.tolist() == second.classes.tolist()


@pytest.mark.parametrize("name", TARGETS)
def test_there_and_back_without_volumes(source, tmp_path, name):
    target = tmp_path / "out" / name
    assert convert_list(source, target, program=TARGETS[name], voxel_size_angstrom=4.0) == 3
    _same(read_list(target), read_list(source))
    back = tmp_path / "back.csv"
    convert_list(target, back)
    _same(read_list(back), read_list(source))


def test_csv_names_lead_to_the_same_files(write_volumes, tmp_path):
    folder = write_volumes(folder=tmp_path / "data")
    (folder / "in.star").write_text("data_\nloop_\n_rlnImageName\n_rlnCtfImage\np1.mrc p2.mrc\np0.mrc None\n")
    convert_list(folder / "in.star", tmp_path / "lists" / "out.csv")
    assert (tmp_path / "lists" / "out.csv").read_text() == (
        "volume,weight\n../data/p1.mrc,../data/p2.mrc\n../data/p0.mrc,\n"
    )
    assert len(read_particles(tmp_path / "lists" / "out.csv")) == 2


def test_relion_3_0_becomes_3_1(write_volumes):
    folder = write_volumes()
    (folder / "old.star").write_text(
        "data_\nloop_\n_rlnImageName\n_rlnPixelSize\n_rlnOriginX\n_rlnOriginY\n_rlnOriginZ\n_rlnOther\n"
        "p0.mrc 4 1 -2 0 x\n"
    )
    convert_list(folder / "old.star", folder / "new.star")
    blocks = read_star(folder / "new.star")
    table = blocks["particles"].columns
    assert [float(table[f"rlnOrigin{axis}Angst"][0]) for axis in "XYZ"] == [4, -8, 0]
    assert "rlnOriginX" not in table
    assert table["rlnOther"] == ["x"]
    assert blocks["optics"].columns["rlnImagePixelSize"] == ["4.000000"]
    assert read_particles(folder / "new.star").poses.shifts.tolist() == [[-1, 2, 0]]


def test_relion_4_to_dynamo_has_binned_positions_and_tomogram_angles(shared_data, tmp_path):
    path = shared_data / "metadata" / "relion4" / "relion4.star"
    assert convert_list(path, tmp_path / "a.tbl") == 1024
    table = read_list(tmp_path / "a.tbl")
    # 1704.4 pixels of 1.559 angstrom are 426.1 voxels of 6.236 angstrom.
    assert table.positions[0, 0].item() == pytest.approx(426.1)
    assert table.shifts[0, 0].item() == pytest.approx(5.72761 / 6.236, abs=1e-6)
    angles = torch.deg2rad(torch.tensor([[145.296607, 146.256823, -85.62620]], dtype=torch.float64))
    assert rotation_distance(table.rotations[:1], zyz_to_matrix(angles)).item() < 1e-6


def test_missing_positions_are_said_aloud(shared_data, tmp_path, caplog):
    path = shared_data / "metadata" / "relion5" / "Refine3D" / "job_refine" / "run_it050_data.star"
    with caplog.at_level(logging.WARNING):
        assert convert_list(path, tmp_path / "a.xml") == 5
    assert "no positions" in caplog.text


def test_unknown_target(source, tmp_path):
    with pytest.raises(InputError, match=r"expected a name ending in \.star"):
        convert_list(source, tmp_path / "a.txt")
    with pytest.raises(InputError, match="got 'eman'"):
        convert_list(source, tmp_path / "a.star", program="eman")
