"""Dynamo's volume lists and table maps. Syntax as its wiki has it (page Volume_list_file), whose example is the first
list; a list as scipion-em-dynamo 3.5.3 writes it (``protocol_boxing.py``) is the second; dynamotable 0.3.0 reads a map.
Dynamo itself needs Matlab's runtime and was not run.
"""

import pytest
import torch

from torchsag.errors import InputError
from torchsag.io import write_map
from torchsag.io.dynamo_volumes import read_volume_list
from torchsag.io.lists import read_list
from torchsag.io.position_list import read_positions
from torchsag.io.tomogram_files import tomogram_files
from torchsag.particles import DensityMap, TiltRange

WIKI = """# the example of the wiki
myTomogram1.mrc
> myTable1.tbl

myTomogram2.mrc
* ftype = 1
* ytilt = -50 57
* apix = 6.0
! drawn.omd
> myTable2.tbl
# tomogram 4 was awful!, we exclude it!
myTomogram5.mrc
* index = 5
* cropFromElsewhere = 1
* cropFromFile = raw/myTomogram5.mrc
# a volume may have no sources
"""


def _row(tag, tomogram, place, ftype=0, tilts=(0, 0, 0, 0)):
    values = [tag, 1, 1, 0.5, -0.25, 0, 10, 20, 30, 0.1, 0, 0, ftype, *tilts, 0, 0, tomogram, 0, 0, 0, *place]
    return " ".join(map(str, values + [0] * (35 - len(values)))) + "\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project.vll").write_text(WIKI)
    (tmp_path / "myTable1.tbl").write_text(_row(1, 9, (11, 12, 13), 1, (-60, 60, 0, 0)) + _row(2, 9, (21, 22, 23)))
    (tmp_path / "myTable2.tbl").write_text(_row(1, 9, (31, 32, 33)))
    return tmp_path


def _tomogram(path):
    path.parent.mkdir(exist_ok=True)
    write_map(path, DensityMap(torch.zeros(4, 5, 6), 6.0))
    return path


def test_tomograms_are_numbered_in_their_order_or_by_index(project):
    volumes = read_volume_list(project / "project.vll")
    assert [(one.number, one.file) for one in volumes] == [
        (1, "myTomogram1.mrc"), (2, "myTomogram2.mrc"), (5, "raw/myTomogram5.mrc"),
    ]  # fmt: skip
    (project / "scipion.vll").write_text("/data/tomo_1.mrc\n/data/tomo_2.mrc\n")
    assert [one.number for one in read_volume_list(project / "scipion.vll")] == [1, 2]


def test_tables_are_cropped_from_the_tomogram_they_stand_below(project):
    listing = read_positions(project / "project.vll")
    assert listing.tomograms == ["myTomogram1.mrc", "myTomogram1.mrc", "myTomogram2.mrc"]
    assert listing.positions is not None
    assert listing.positions.tolist() == [[11, 12, 13], [21, 22, 23], [31, 32, 33]]
    assert listing.tilt_ranges == [TiltRange(-60, 60), None, TiltRange(-50, 57)]  # a table's own, none, the list's
    assert listing.voxel_sizes is None  # only one tomogram tells it
    files = [_tomogram(project / f"myTomogram{k}.mrc") for k in (1, 1, 2)]
    assert tomogram_files(listing, None) == files


def test_orientations_are_those_of_the_tables(project):
    listing, table = read_positions(project / "project.vll"), read_list(project / "myTable1.tbl")
    assert listing.rotations is not None
    assert listing.shifts is not None
    assert torch.equal(listing.rotations[:2], table.rotations)
    assert torch.equal(listing.shifts[:2], table.shifts)


def test_voxel_sizes_that_every_tomogram_tells_are_those_of_the_list(project):
    text = WIKI.replace("> myTable1.tbl", "* apix = 4.5\n> myTable1.tbl")
    (project / "project.vll").write_text(text)
    assert read_positions(project / "project.vll").voxel_sizes == [4.5, 4.5, 6.0]


def test_a_list_of_the_tables_name_beside_it_names_its_tomograms(project):
    table = project / "project.tbl"
    table.write_text(_row(1, 2, (1, 2, 3)) + _row(2, 5, (1, 2, 3)) + _row(3, 7, (1, 2, 3)))
    assert read_list(table).tomograms == ["myTomogram2.mrc", "raw/myTomogram5.mrc", "7"]
    (project / "project.doc").write_text("2 from_the_map.mrc\n")
    assert read_list(table).tomograms == ["from_the_map.mrc", "5", "7"]


@pytest.mark.parametrize("name", ["named.vll", "named.doc"])
def test_tomogram_takes_a_volume_list_or_a_table_map(project, name):
    """Of the same map dynamotable 0.3.0 gives tomo_file b.mrc, a.mrc for tomo 2, 1."""
    table = project / "particles.tbl"
    table.write_text(_row(1, 2, (1, 2, 3)) + _row(2, 1, (1, 2, 3)))
    (project / name).write_text("a.mrc\nb.mrc\n" if name.endswith("vll") else "1 a.mrc\n2 b.mrc\n")
    files = [_tomogram(project / f"{letter}.mrc") for letter in "ba"]
    assert tomogram_files(read_list(table), project / name) == files
    table.write_text(_row(1, 3, (1, 2, 3)))
    with pytest.raises(InputError, match=r"tomogram: tomogram 3 of .* is not in .*, which has 1, 2; add it"):
        tomogram_files(read_list(table), project / name)
    files[0].unlink()
    table.write_text(_row(1, 2, (1, 2, 3)))
    with pytest.raises(InputError, match=r"no such tomogram file: b\.mrc"):
        tomogram_files(read_list(table), project / name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (WIKI, "# nothing\n", "expected at least one tomogram"),
        ("# the example", "* index = 2\n# the example", "line 1: expected a tomogram before"),
        ("* ftype = 1", "* ftype 1", r"line 6: expected \* key = value"),
        ("* ftype = 1", "* ftype = 4", "myTomogram2.mrc: expected ftype 1 or 2, .* got 4"),
        ("-50 57", "-50", "expected two angles as ytilt, got '-50'"),
        ("-50 57", "50 -57", "expected two angles as ytilt"),
        ("* apix = 6.0", "* apix = nan", "expected a number as apix"),
        ("* apix = 6.0", "* apix = -6", "expected angstrom per voxel as apix, got -6"),
        ("* index = 5", "* index = 2", "expected each number once, tomogram 2 stands there twice"),
        ("* index = 5", "* index = 1.5", "expected a whole number above 0 as index"),
        ("* index = 5", "* index = 5\n* index = 6", "each key once"),
        ("myTable1.tbl", "myModel.omd", r"expected a table \(\.tbl\) to crop, got 'myModel\.omd'"),
        ("myTable1.tbl", "gone.tbl", "no such table: gone.tbl"),
    ],
)
def test_damaged_lists_are_refused(project, old, new, message):
    (project / "project.vll").write_text(WIKI.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_positions(project / "project.vll")


def test_a_list_without_tables_says_how_to_give_one(project):
    (project / "project.vll").write_text("a.mrc\n")
    with pytest.raises(InputError, match="names no table to crop"):
        read_positions(project / "project.vll")


def test_a_map_that_names_a_number_twice_is_refused(project):
    (project / "myTable1.doc").write_text("9 a.mrc\n9 b.mrc\n")
    with pytest.raises(InputError, match=r"line 2: tomogram 9 stands there before, as a\.mrc"):
        read_list(project / "myTable1.tbl")
