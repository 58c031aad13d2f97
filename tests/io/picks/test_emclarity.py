"""emClarity's csv; numbers were printed by its own functions (github main of October 2023), run by Octave 7.3.

Rows: ``BH_defineMatrix(angles, 'Bah', 'inv')`` and the print formats of ``BH_templateSearch3d_2.m`` and of ``WriteCsv``
in ``BH_geometryAnalysis.m``. Places: ``BH_resample3d`` of a blob, ``'forward'`` with the angles into the tomogram's
frame; with the matrix and ``'inv'``, as averages are made, it comes back.
"""

import pytest
import torch

from torchsag.errors import InputError
from torchsag.io.lists import read_list
from torchsag.io.position_list import read_positions
from torchsag.workflows.extract.sites import find_sites

SEARCH = (
    "5.25 6 0 1 1 1 1 1 1 0 101.500000 202.000000 33.250000 10 50 30 0.797059 0.466895 0.383022 -0.589069 0.461389 "
    "0.663414 0.133022 -0.754407 0.642788 1 \n"
    "4.50 6 0 2 1 1 1 1 1 0 55.000000 66.000000 77.000000 -100 120 75 -0.520569 -0.171021 0.836516 0.040288 0.973723 "
    "0.224144 -0.852869 0.150384 -0.500000 1 \n"
)
WRITTEN = (
    "5.250  6.000  0.000  1    1.000  1.000  1    1    1.000  0.000    101.500 202.000 33.250    10.000 50.000 30.000"
    "    0.797 0.467 0.383 -0.589 0.461 0.663 0.133 -0.754 0.643    1   \n"
    "4.500  6.000  0.000  2    1.000  1.000  1    1    1.000  0.000    55.000  66.000  77.000    -100.000 120.000 "
    "75.000    -0.521 -0.171 0.837 0.040 0.974 0.224 -0.853 0.150 -0.500    -9999\n"
)
BLOB = torch.tensor([5.0, 2.0, -3.0], dtype=torch.float64)
PLACES = [[2.4079, 5.5202, 1.3137], [0.036102, 0.642225, 6.130947]]  # of the blob, turned; linear interpolation


def _read(folder, name, text):
    (folder / name).write_text(text)
    return read_positions(folder / name)


def test_particles_are_turned_and_lie_as_in_emclarity(tmp_path):
    listing = _read(tmp_path, "TS_1_bin6.csv", SEARCH)
    assert listing.rotations is not None
    torch.testing.assert_close(listing.rotations @ BLOB, torch.tensor(PLACES).double(), atol=6e-3, rtol=0)
    assert listing.positions is not None
    assert listing.positions.tolist() == [[100.5, 201.0, 32.25], [54.0, 65.0, 76.0]]  # its first voxel is 1
    assert listing.tomograms == ["TS_1", "TS_1"]
    assert listing.scores is not None
    assert listing.scores.tolist() == [5.25, 4.5]
    sites = find_sites(listing, [(100, 300, 300)] * 2, voxel_size=2.0, rescale=None)
    assert sites.oriented
    assert sites.centres.tolist() == [[101, 201, 32], [54, 65, 76]]


def test_ignored_particles_are_set_aside_and_said(tmp_path, caplog):
    listing = _read(tmp_path, "cycle005_TS_1_2_RawAlign.csv", WRITTEN)
    assert listing.tomograms == ["TS_1_2"]
    assert "1 of 2 particles have class -9999" in caplog.text
    assert listing.rotations is not None
    # three digits are what WriteCsv leaves of the matrix
    torch.testing.assert_close(listing.rotations @ BLOB, torch.tensor(PLACES[:1]).double(), atol=1e-2, rtol=0)


def test_the_first_of_several_orientations_is_read_and_said(tmp_path, caplog):
    first, second = SEARCH.splitlines()
    listing = _read(tmp_path, "TS_1_bin6.csv", first + second + "\n")
    assert listing.positions is not None
    assert listing.positions.tolist() == [[100.5, 201.0, 32.25]]
    assert "2 orientations a particle; the first is read" in caplog.text


@pytest.mark.parametrize("name", ["TS_1_bin6.csv", "a.lst", "a.vll", "a.mod", "a.json", "a.ndjson"])
def test_picks_in_place_of_particles_say_how_to_cut_them_out(tmp_path, name):
    (tmp_path / name).write_text(SEARCH)
    with pytest.raises(InputError, match="gives positions and no volumes; cut the particles out with torchsag extract"):
        read_list(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" 1 \n", " \n", "line 1: expected 26 numbers, got 25"),
        ("0.797059", "0.197059", "entry 1: expected a rotation matrix"),
        ("202.000000", "nan", r"entry 1: expected a finite number as column 12 \(y\)"),
        ("202.000000", "x", "line 1: expected numbers"),
        (" 1 \n", " 1.5 \n", "expected a whole number from -2147483647 to 2147483647 as column 26"),
        ("1 \n4.50", "1 2 \n4.50", "line 2: expected 27 numbers, got 26"),
    ],
)
def test_damaged_lists_are_refused(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        _read(tmp_path, "TS_1_bin6.csv", SEARCH.replace(old, new, 1))


def test_lists_of_ignored_particles_alone_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected at least one pick"):
        _read(tmp_path, "TS_1_bin6.csv", WRITTEN.splitlines()[1] + "\n")
