"""Particle lists as comma-separated tables."""

import pytest
import torch

from torchsag.errors import InputError
from torchsag.geometry import random_rotations
from torchsag.geometry.rotations import matrix_to_zyz
from torchsag.io.csv_list import read_csv_list
from torchsag.particles import TiltRange


def _write(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    return tmp_path / "list.csv"


def test_all_columns(tmp_path):
    listing = read_csv_list(
        _write(
            tmp_path,
            "\ufeffvolume, weight,tilt_min_deg,tilt_max_deg,tomogram,half,class\n"
            "a.mrc,w.mrc,-60,55.5,TS_01,1,3\n\nb.mrc,,-40,60,TS_02,2,1\n",
        )
    )
    assert list(listing.names) == ["a.mrc", "b.mrc"]
    assert listing.weight_names == ["w.mrc", None]
    assert listing.tilt_ranges == [TiltRange(-60.0, 55.5), TiltRange(-40.0, 60.0)]
    assert listing.tomograms == ["TS_01", "TS_02"]
    assert listing.halves.tolist() == [1, 2]
    assert listing.classes.tolist() == [3, 1]
    assert listing.rotations is None
    assert listing.shifts is None


def test_angles_and_matrices_agree(tmp_path):
    rotation = random_rotations(1, torch.Generator().manual_seed(0), torch.float64)
    angles = torch.rad2deg(matrix_to_zyz(rotation))[0].tolist()
    by_angle = read_csv_list(
        _write(
            tmp_path,
            "volume,rot_deg,tilt_deg,psi_deg,shift_x,shift_y,shift_z\n"
            + ",".join(map(str, ["a.mrc", *angles, 1, -2, 0.5])),
        )
    )
    names = ",".join(f"R{i}{j}" for i in range(3) for j in range(3))
    values = ",".join(f"{v:.6f}" for v in rotation.flatten().tolist())
    by_matrix = read_csv_list(_write(tmp_path, f"volume,{names},tx,ty,tz\na.mrc,{values},1,-2,0.5\n"))
    torch.testing.assert_close(by_angle.rotations, rotation)
    torch.testing.assert_close(by_matrix.rotations, rotation, atol=2e-6, rtol=0)
    assert by_angle.shifts.tolist() == by_matrix.shifts.tolist() == [[1, -2, 0.5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("volume\n", "empty list"),
        ("name,weight\na,b\n", "unknown column 'name'; did you mean|unknown column 'name'; known"),
        ("volume,wieght\na,b\n", "unknown column 'wieght'; did you mean weight?"),
        ("volume,tilt_min\na,-60\n", "did you mean tilt_min_deg"),
        ("weight\na\n", "expected a column volume"),
        ("volume,volume\na,b\n", "no column twice"),
        ("volume,weight\na\n", "particle 1: expected 2 values, got 1"),
        ("volume,tilt_min_deg\na,-60\n", "tilt_max_deg missing"),
        (
            "volume,tilt_min_deg,tilt_max_deg\na,-60,sixty\n",
            "particle a: expected a number as tilt_max_deg, got 'sixty'",
        ),
        (
            "volume,tilt_min_deg,tilt_max_deg\na,-60,nan\n",
            "particle a: expected a finite number as tilt_max_deg",
        ),
        ("volume,tilt_min_deg,tilt_max_deg\na,60,-60\n", "particle a: tilt range"),
        ("volume,half\na,3\n", "particle a: expected a whole number from 1 to 2 as half, got 3"),
        ("volume,class\na,0.5\n", "particle a: expected a whole number .* as class, got 0.5"),
        ("volume,class\na,99999999999999999999\n", "particle a: expected a whole number .* as class"),
        ("volume,half\na,²\n", "particle a: expected a number as half, got '²'"),
        ("volume,tx,ty,tz\na,1e30,0,0\n", "particle a: expected a value up to 1e.07 as tx"),
        ("volume,rot_deg\na,3\n", "tilt_deg, psi_deg missing"),
        (
            "volume,R00,R01,R02,R10,R11,R12,R20,R21,R22\na,1,0,0,0,1,0,0,0,-1\n",
            "particle a: expected a rotation matrix",
        ),
        ("volume,tx,ty\na,1,2\n", "tz missing"),
    ],
)
def test_bad_lists_are_one_sentence(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_csv_list(_write(tmp_path, text))


def test_missing_and_binary(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_csv_list(tmp_path / "none.csv")
    (tmp_path / "list.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError):
        read_csv_list(tmp_path / "list.csv")
