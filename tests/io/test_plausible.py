"""Nothing that is no pose becomes one, whatever format lists it: one sentence with file, entry and column."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from torchsag.errors import InputError
from torchsag.io import convert_list
from torchsag.io.em import write_em
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ParticleList
from torchsag.io.plausible import check_list, numbers
from torchsag.particles import Transfer

EMPTY = "''"  # in STAR
NONSENSE = ["nan", "inf", "-inf", "1e30", "１", "1_000", "", "x"]


def _dynamo(**columns):
    row = ["0"] * 35
    row[:3], row[19], row[21] = ["1", "1", "1"], "1", "1"
    for number, value in columns.items():
        row[int(number[1:]) - 1] = value
    return " ".join(row) + "\n"


def _stopgap(name, value):
    columns = dict.fromkeys(
        ("motl_idx", "tomo_num", "object", "subtomo_num", "orig_x", "orig_y", "orig_z", "score"), "1"
    ) | dict.fromkeys(("x_shift", "y_shift", "z_shift", "phi", "psi", "the", "class"), "1")
    columns[name] = value or '""'
    heads = "".join(f"_{key}\n" for key in columns)
    return f"\ndata_stopgap_motivelist\n\nloop_\n{heads}\n{' '.join(columns.values())}\n"


def _pytom(tag, name, value):
    values = {"Rotation": ("Z1", "Z2", "X"), "Shift": ("X", "Y", "Z"), "Class": ("Name",)}
    text = "".join(
        f"<{t} " + " ".join(f'{n}="{value if (t, n) == (tag, name) else 0}"' for n in of) + "/>"
        for t, of in values.items()
    )
    return f'<ParticleList><Particle Filename="a_1.mrc">{text}</Particle></ParticleList>'


CASES = {
    "dynamo shift": ("a.tbl", lambda v: _dynamo(c4=v), r"entry 1: .*column 4 \(dx\)|line 1"),
    "dynamo angle": ("a.tbl", lambda v: _dynamo(c7=v), r"entry 1: .*column 7 \(tdrot\)|line 1"),
    "dynamo class": ("a.tbl", lambda v: _dynamo(c22=v), r"entry 1: .*column 22 \(class\)|line 1"),
    "dynamo tomogram": ("a.tbl", lambda v: _dynamo(c20=v), r"entry 1: .*column 20 \(tomo\)|line 1"),
    "dynamo tag": ("a.tbl", lambda v: _dynamo(c1=v), r"entry 1: .*column 1 \(tag\)|line 1"),
    "stopgap shift": ("a.star", lambda v: _stopgap("x_shift", v), "entry 1: .* x_shift"),
    "stopgap angle": ("a.star", lambda v: _stopgap("the", v), "entry 1: .* the"),
    "stopgap class": ("a.star", lambda v: _stopgap("class", v), "entry 1: .* class"),
    "pytom angle": ("a.xml", lambda v: _pytom("Rotation", "X", v), "entry 1: .* X in <Rotation>"),
    "pytom shift": ("a.xml", lambda v: _pytom("Shift", "Y", v), "entry 1: .* Y in <Shift>"),
    "csv shift": ("a.csv", lambda v: f"volume,tx,ty,tz\na.mrc,0,{v},0\n", "particle a.mrc: .* ty"),
    "csv class": ("a.csv", lambda v: f"volume,class\na.mrc,{v}\n", "particle a.mrc: .* class"),
    "relion angle": (
        "a.star",
        lambda v: f"data_\nloop_\n_rlnImageName\n_rlnAngleTilt\na.mrc {v or EMPTY}\n",
        "entry 1: .* rlnAngleTilt",
    ),
    "relion origin": (
        "a.star",
        lambda v: (
            "data_\nloop_\n_rlnImageName\n_rlnOriginXAngst\n_rlnOriginYAngst\n_rlnOriginZAngst\n"
            f"a.mrc 0 0 {v or EMPTY}\n"
        ),
        "entry 1: .* rlnOriginZAngst",
    ),
}


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("case", CASES)
def test_one_sentence_with_file_entry_and_column(tmp_path, case, value):
    name, text, where = CASES[case]
    if value == "" and ("pytom" in case or "dynamo" in case):
        pytest.skip("an empty attribute says nothing, and a table of numbers has no empty cells")
    (tmp_path / name).write_text(text(value), encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name}: ({where})"):
        read_list(tmp_path / name)


@pytest.mark.parametrize("value", ["9223372036854775808", "99999999999999999999", "1.5"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tbl", lambda v: _dynamo(c22=v)),
        ("a.star", lambda v: _stopgap("class", v)),
        ("a.star", lambda v: f"data_\nloop_\n_rlnImageName\n_rlnClassNumber\na.mrc {v}\n"),
        ("a.csv", lambda v: f"volume,class\na.mrc,{v}\n"),
    ],
)
def test_classes_are_whole_numbers_that_fit(tmp_path, name, text, value):
    (tmp_path / name).write_text(text(value))
    with pytest.raises(InputError, match=r"(1|a\.mrc): expected a whole number"):
        read_list(tmp_path / name)


@pytest.mark.parametrize(
    ("number", "name"), [(1, "score"), (5, "tomogram"), (11, "x shift"), (17, "phi"), (20, "class")]
)
def test_motive_lists_in_em(tmp_path, number, name):
    motives = np.ones((1, 3, 20), dtype=np.float32)
    motives[0, 1, number - 1] = math.nan
    write_em(tmp_path / "m.em", motives)
    with pytest.raises(InputError, match=rf"m\.em: entry 2: expected a finite number as number {number} \({name}\)"):
        read_list(tmp_path / "m.em")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 252 + ".mrc", "expected at most 255 bytes"),
        ("é" * 130 + ".mrc", "expected at most 255 bytes"),
        ("/".join(["d" * 200] * 21), "4096 for a path"),
        ("a\nb.mrc", "no control characters or line breaks in the volume's name"),
        ("a\x1b[2Jb.mrc", "no control characters"),
        ("", "expected the volume's name, got an empty one"),
    ],
)
def test_names_that_are_none(name, message):
    listing = ParticleList(Path("l.csv"), (), ["ok.mrc", name], Transfer())
    with pytest.raises(InputError, match=rf"l\.csv: entry 2: .*{message}"):
        check_list(listing)


def test_line_breaks_in_cells_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text('volume,tomogram\na.mrc,"T\n1"\n')
    with pytest.raises(InputError, match=r"a\.csv: entry 1: .*line breaks in the tomogram's name"):
        read_list(tmp_path / "a.csv")
    (tmp_path / "a.xml").write_text(_pytom("Class", "Name", "1").replace("a_1.mrc", "a&#10;1.mrc"))
    with pytest.raises(InputError, match="line breaks in the volume's name"):
        read_list(tmp_path / "a.xml")


@pytest.mark.parametrize(
    "head",
    [
        b'<?xml version="1.0" encoding="shift_jis"?>',
        b'<?xml version="1.0" encoding="no-such"?>',
        b'<!DOCTYPE x [<!ENTITY a "b">]>',
        b'<!DOCTYPE x SYSTEM "file:///etc/hostname">',
    ],
)
def test_xml_encodings_and_entities_are_one_sentence(tmp_path, head):
    (tmp_path / "a.xml").write_bytes(head + _pytom("Class", "Name", "1").encode())
    with pytest.raises(InputError, match=r"a\.xml: "):
        read_list(tmp_path / "a.xml")
    (tmp_path / "a.xml").write_bytes(_pytom("Class", "Name", "1").encode("utf-16"))
    with pytest.raises(InputError, match="UTF-8"):
        read_list(tmp_path / "a.xml")


def test_the_check_sees_what_no_reader_looks_at():
    rotations = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    rotations[1, 0, 0] = math.nan
    with pytest.raises(InputError, match="entry 2: expected a finite number as rotation, got nan"):
        check_list(ParticleList(Path("l"), (), ["a", "b"], Transfer(), rotations=rotations))
    with pytest.raises(InputError, match="entry 1: expected a voxel size"):
        check_list(ParticleList(Path("l"), (), ["a", "b"], Transfer(), voxel_sizes=[-1.0, 4.0]))


def test_numbers_as_programs_write_them():
    texts = ["1", "-2.5", "+3e-2", " 4 ", "1E3", ".5", "-0"]
    assert numbers(Path("l"), texts, "a").tolist() == [1, -2.5, 0.03, 4, 1000, 0.5, 0]


def test_class_0_survives_the_round_trip(tmp_path):
    (tmp_path / "a.tbl").write_text(_dynamo(c22="0") + _dynamo(c1="2", c22="3"))
    for target in ("a.csv", "b.star", "b.xml", "b.em", "b.tbl"):
        convert_list(tmp_path / "a.tbl", tmp_path / target, voxel_size_angstrom=4.0)
        convert_list(tmp_path / target, tmp_path / "back.csv")
        assert read_list(tmp_path / "back.csv").classes.tolist() == [0, 3]


@pytest.mark.parametrize("name", ["=1+1.mrc", "+a.mrc", "-a.mrc", "'=a.mrc"])
def test_csv_cells_are_no_formulas_and_come_back(tmp_path, name):
    (tmp_path / "a.star").write_text(f'data_\nloop_\n_rlnImageName\n_rlnTomoName\n"{name}" "{name}"\n')
    convert_list(tmp_path / "a.star", tmp_path / "a.csv")
    cells = (tmp_path / "a.csv").read_text().splitlines()[1].split(",")
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    back = read_list(tmp_path / "a.csv")
    assert list(back.names) == [name]
    assert list(back.tomograms) == [name]
