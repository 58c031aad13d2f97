"""The particle of the page *Coming from another program*: the numbers of each program are one pose."""

import csv
import re
from pathlib import Path

import emfile
import numpy as np
import pytest
import torch

from torchsag.geometry import Poses
from torchsag.io.convert import convert_list
from torchsag.io.lists import read_list

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "coming-from.md").read_text()
VOXEL = 6.0


def listed(program):
    """The named numbers in one row of the table, and the others in their order."""
    table = PAGE.partition("<!-- one particle -->")[2].partition("<!-- end -->")[0]
    row = next(line for line in table.splitlines() if line.startswith(f"| {program}"))
    named = {name: float(value) for name, value in re.findall(r"`(\w+)` (-?[\d.]+)", row)}
    loose = [float(x) for part in re.findall(r"rows \d+ to \d+: ([^|(]+)", row) for x in part.split(",")]
    return named, loose


def relion(folder):
    columns, _ = listed("RELION")
    names = ["rlnImageName", "rlnTomoName", *columns, "rlnOpticsGroup"]
    values = ["p1.mrc", "7", *(f"{value:g}" for value in columns.values()), "1"]
    optics = ["rlnOpticsGroup", "rlnImagePixelSize", "rlnImageSize", "rlnImageDimensionality"]
    lines = ["data_optics", "", "loop_", *(f"_{name}" for name in optics), f"1 {VOXEL} 64 3", ""]
    lines += ["data_particles", "", "loop_", *(f"_{name}" for name in names), " ".join(values), ""]
    path = folder / "particles.star"
    path.write_text("\n".join(lines))
    return path


def torchsag_csv(folder):
    columns, _ = listed("torchsag")
    path = folder / "particles.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["volume", *columns], ["p1.mrc", *columns.values()]])
    return path


def dynamo(folder):
    n, _ = listed("Dynamo")
    row = np.zeros(35)
    row[0] = 1
    row[3:9] = [n["dx"], n["dy"], n["dz"], n["tdrot"], n["tilt"], n["narot"]]
    row[19], row[23:26] = 7, [n["x"], n["y"], n["z"]]
    path = folder / "particles.tbl"
    path.write_text(" ".join(f"{value:g}" for value in row) + "\n")
    return path


def stopgap(folder):
    columns, _ = listed("STOPGAP")
    columns = {"motl_idx": 1, "tomo_num": 7, "object": 1, "subtomo_num": 1, "halfset": "A", **columns}
    columns |= {"score": 0, "class": 1}
    lines = ["", "data_stopgap_motivelist", "", "loop_", *(f"_{name}" for name in columns), ""]
    path = folder / "motl.star"
    path.write_text("\n".join([*lines, " ".join(str(value) for value in columns.values()), ""]))
    return path


def av3(folder):
    n, (*shift, x, y, z) = listed("AV3")
    motive = np.zeros((1, 1, 20), dtype=np.float32)
    motive[0, 0, [3, 4]] = 1, 7
    motive[0, 0, 7:10], motive[0, 0, 10:13] = [x, y, z], shift
    motive[0, 0, 16:20] = n["phi"], n["psi"], n["theta"], 1
    path = folder / "motl.em"
    emfile.write(path, motive)
    return path


def pytom(folder):
    row = next(line for line in PAGE.splitlines() if line.startswith("| PyTom | `Z1`"))
    angles, shift, position = (re.findall(r"`(\w+)` (-?[\d.]+)", cell) for cell in row.split("|")[2:5])
    tags = {"Rotation": angles, "Shift": shift, "PickPosition": position}
    written = {tag: " ".join(f'{name}="{value}"' for name, value in pairs) for tag, pairs in tags.items()}
    inside = "".join(f"<{tag} {attributes} />" for tag, attributes in written.items())
    path = folder / "particles.xml"
    path.write_text(f'<ParticleList><Particle Filename="p1.mrc">{inside}</Particle></ParticleList>')
    return path


def printed_pose():
    """The matrix and the shift that the page prints."""
    numbers = re.search(r"\\begin\{pmatrix\}(.*?)\\end\{pmatrix\}.*?t = \(([^)]*)\)", PAGE, flags=re.DOTALL)
    rotation = [[float(x) for x in row.split("&")] for row in numbers[1].split(r"\\")]
    return torch.tensor(rotation, dtype=torch.float64), torch.tensor([float(x) for x in numbers[2].split(",")])


@pytest.mark.parametrize("write", [torchsag_csv, relion, dynamo, stopgap, av3, pytom], ids=lambda write: write.__name__)
def test_each_programs_numbers_are_the_pose_on_the_page(write, tmp_path):
    poses: Poses = read_list(write(tmp_path)).poses(VOXEL)
    rotation, shift = printed_pose()
    torch.testing.assert_close(poses.rotations[0].double(), rotation, atol=1e-4, rtol=0)
    torch.testing.assert_close(poses.shifts[0].double(), shift.double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("write", [relion, dynamo, stopgap, av3, pytom], ids=lambda write: write.__name__)
def test_each_programs_position_is_the_one_on_the_page(write, tmp_path):
    positions = read_list(write(tmp_path)).positions
    assert positions[0].tolist() == [510, 480, 255]


def test_convert_writes_the_numbers_on_the_page(tmp_path):
    source = relion(tmp_path)
    convert_list(source, tmp_path / "out.tbl")
    row = [float(value) for value in (tmp_path / "out.tbl").read_text().split()]
    named, _ = listed("Dynamo")
    assert row[3:9] == pytest.approx([named[name] for name in ("dx", "dy", "dz", "tdrot", "tilt", "narot")])
    convert_list(source, tmp_path / "out.star", program="stopgap")
    named, _ = listed("STOPGAP")
    values = (tmp_path / "out.star").read_text().split()
    assert {f"{value:.6f}" for value in named.values()} <= set(values)
