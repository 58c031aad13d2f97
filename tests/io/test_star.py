"""STAR files as text: nothing changes that was not understood."""

import pytest
import starfile

from torchsag.errors import InputError
from torchsag.io.star import Loop, read_star, write_star

TEXT = """# made by hand

data_optics

# a comment between
loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
1 3.000
data_general
_rlnTomoName '007'
_empty ""

data_particles
loop_
_rlnImageName #1
_note
 a.mrc   "two words"
 b#c.mrc 9.605161e+05   # trailing remark

 'it"s.mrc' '#'
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.star").write_text(TEXT)
    return tmp_path / "a.star"


def test_values_stay_text(path):
    blocks = read_star(path)
    assert list(blocks) == ["optics", "general", "particles"]
    assert blocks["general"] == {"rlnTomoName": "007", "empty": ""}
    assert blocks["particles"].columns == {
        "rlnImageName": ["a.mrc", "b#c.mrc", 'it"s.mrc'],
        "note": ["two words", "9.605161e+05", "#"],
    }
    assert len(blocks["particles"]) == 3


def test_round_trip(path, tmp_path):
    blocks = read_star(path)
    write_star(tmp_path / "b.star", blocks)
    assert read_star(tmp_path / "b.star") == blocks


@pytest.mark.parametrize("file_format", ["relion3", "relion4", "relion5", "motl"])
def test_files_of_other_programs_round_trip_and_agree_with_starfile(shared_data, tmp_path, file_format):
    files = sorted((shared_data / "metadata" / file_format).rglob("*.star"))
    assert files
    for file in files:
        blocks = read_star(file)
        write_star(tmp_path / "copy.star", blocks)
        assert read_star(tmp_path / "copy.star") == blocks
        for source in (file, tmp_path / "copy.star"):
            theirs = starfile.read(source, always_dict=True)
            assert list(theirs) == list(blocks)
            for name, block in blocks.items():
                if isinstance(block, Loop):
                    assert list(theirs[name].columns) == list(block.columns)
                    for column, values in block.columns.items():
                        number = theirs[name][column].dtype.kind in "if"
                        assert list(theirs[name][column]) == [float(v) if number else v for v in values]


def test_rows_are_taken_in_order():
    loop = Loop({"a": ["1", "2", "3"], "b": ["x", "y", "z"]})
    assert loop.take([2, 0]).columns == {"a": ["3", "1"], "b": ["z", "x"]}


def test_empty_loop(tmp_path):
    (tmp_path / "a.star").write_text("data_\nloop_\n_a\n_b\n\n")
    assert read_star(tmp_path / "a.star")[""].columns == {"a": [], "b": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one data_ block"),
        ("volume,weight\na.mrc,b.mrc\n", "line 1: expected a STAR file that begins with data_"),
        ("data_\nloop_\n_a\n_b\n1 2\n1 2 3\n", "line 6: expected 2 values, one for each column, got 3"),
        ("data_\n_a 1 2\n", "line 2: expected a name and one value"),
        ("data_\nstray\n", "line 2: expected a name and one value"),
    ],
)
def test_broken_files_name_the_line(tmp_path, text, message):
    (tmp_path / "a.star").write_text(text)
    with pytest.raises(InputError, match=message):
        read_star(tmp_path / "a.star")


def test_missing_binary_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_star(tmp_path / "none.star")
    with pytest.raises(InputError, match="cannot be read"):
        read_star(tmp_path)
    (tmp_path / "a.star").write_bytes(bytes(range(256)))
    with pytest.raises(InputError):
        read_star(tmp_path / "a.star")
