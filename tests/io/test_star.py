"""STAR files as text: nothing changes that was not understood."""

import random

import pytest
import starfile
from gemmi import cif

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


BEGINNINGS = ["data_", "DATA_", "loop_", "save_", "stop_", "global_", "_", "$", "[", "]", ";", "{", "?", ".", "-", "0"]


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_no_row_vanishes_whatever_a_value_begins_with(tmp_path, beginning, column, row):
    rows = [[f"{r}{c}" for c in range(3)] for r in range(3)]
    rows[row][column] = f"{beginning}bin4/p.mrc"
    lines = "".join(" ".join(values) + "\n" for values in rows)
    (tmp_path / "a.star").write_text(f"data_x\n\nloop_\n_a\n_b\n_c\n{lines}\ndata_y\n_d 1\n")
    blocks = read_star(tmp_path / "a.star")
    assert list(blocks) == ["x", "y"]
    assert [list(values) for values in zip(*blocks["x"].columns.values(), strict=True)] == rows


@pytest.mark.parametrize("beginning", [*BEGINNINGS, "'", '"', "#", " ", ""])
@pytest.mark.parametrize("end", ["", "'", '"', " x", "'x", '" y'])
def test_what_is_written_is_read_back_by_us_and_by_gemmi(tmp_path, beginning, end):
    value = f"{beginning}bin4/p.mrc{end}"
    blocks = {"x": Loop({"a": [value, "1"]}), "y": {"b": value}}
    write_star(tmp_path / "a.star", blocks)
    assert read_star(tmp_path / "a.star") == blocks
    document = cif.read(str(tmp_path / "a.star"))
    assert [cif.as_string(v) for v in document[0].find_loop("_a")] == [value, "1"]
    assert cif.as_string(document[1].find_value("_b")) == value


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\" b' c"])
def test_values_without_a_form_in_star_are_refused_by_name(tmp_path, value):
    with pytest.raises(InputError, match=r"a\.star: note: .* cannot stand in a STAR file"):
        write_star(tmp_path / "a.star", {"x": {"note": value}})
    assert not (tmp_path / "a.star").exists()


def test_tables_of_one_column(tmp_path):
    head = "data_x\nloop_\n_a\n"
    for text, expected in [
        ("data_1\ndata_2\np\ndata_3\n", {"x": ["data_1", "data_2", "p", "data_3"]}),
        ("p\ndata_2\n_b 1\n", {"x": ["p"], "2": None}),
        ("p\ndata_2\nloop_\n_b\n1\n", {"x": ["p"], "2": ["1"]}),
        ("p\n\ndata_2\n", {"x": ["p"], "2": None}),
    ]:
        (tmp_path / "a.star").write_text(head + text)
        blocks = read_star(tmp_path / "a.star")
        assert {
            name: next(iter(block.columns.values())) if isinstance(block, Loop) else None
            for name, block in blocks.items()
        } == expected


def test_single_values_beside_a_table_are_kept(tmp_path):
    (tmp_path / "a.star").write_text("data_\n_before 1\nloop_\n_a\n_b\n_c\n1 2 3\n4 5 6\n_after 2\n_last 3\n")
    block = read_star(tmp_path / "a.star")[""]
    assert block == Loop(
        {"a": ["1", "4"], "b": ["2", "5"], "c": ["3", "6"]}, {"before": "1", "after": "2", "last": "3"}
    )
    write_star(tmp_path / "b.star", {"": block})
    assert read_star(tmp_path / "b.star") == {"": block}
    assert block.take([1]).pairs == block.pairs


def test_bytes_that_are_not_utf8_come_back(tmp_path):
    text = "data_x\n_name caf\xe9\xa0x\nloop_\n_a\n_b\nz\xe9ro 1\n".encode("latin-1")
    (tmp_path / "a.star").write_bytes(text)
    write_star(tmp_path / "b.star", read_star(tmp_path / "a.star"))
    written = (tmp_path / "b.star").read_bytes()
    assert b"caf\xe9\xa0x" in written
    assert b"z\xe9ro 1" in written


def test_names_hold_line_separators_of_unicode(tmp_path):
    (tmp_path / "a.star").write_text("data_x\nloop_\n_a\n_b\nx\u2028y\xa0z 1\n", encoding="utf-8")
    assert read_star(tmp_path / "a.star")["x"].columns == {"a": ["x\u2028y\xa0z"], "b": ["1"]}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_endings_and_byte_order_mark(tmp_path, ending, mark):
    text = mark + TEXT.replace("\n", ending)
    (tmp_path / "a.star").write_bytes(text.encode("utf-8"))
    assert len(read_star(tmp_path / "a.star")["particles"]) == 3


def _random_document(generator, alphabet):
    def word(least=1):
        return "".join(generator.choice(alphabet) for _ in range(generator.randint(least, 6)))

    lines, count = [], 0
    for block in range(generator.randint(1, 3)):
        lines += [f"data_b{block}{word()}", ""]
        lines += [f"_p{k}{word()}   {word()}" for k in range(generator.randint(0, 3))]
        if generator.random() < 0.8:
            width = generator.randint(2, 4)
            lines += ["loop_", *(f"_c{k}{word()}" for k in range(width))]
            for _ in range(generator.randint(1, 5)):
                lines.append(
                    "  ".join(generator.choice([word(), f'"{word(0)} {word(0)}"', "''"]) for _ in range(width))
                )
                count += 1
            lines += [f"_last{word()} {word()}"] if width > 2 and generator.random() < 0.5 else []
        lines.append(generator.choice(["", "# data_remark loop_"]))
    return "\n".join(lines) + "\n", count


def _text(raw):
    return raw if raw in ".?" else cif.as_string(raw)  # which calls a bare dot nothing


def test_valid_files_are_read_as_gemmi_reads_them(tmp_path):
    generator = random.Random(4)
    for _ in range(200):
        text, count = _random_document(generator, "aZ09.-+/@")
        (tmp_path / "a.star").write_text(text)
        ours = read_star(tmp_path / "a.star")
        assert sum(len(block) for block in ours.values() if isinstance(block, Loop)) == count
        theirs = cif.read_string(text)
        assert [block.name for block in theirs] == list(ours)
        for block, ours_block in zip(theirs, ours.values(), strict=True):
            pairs, columns = {}, {}
            for item in block:
                if item.pair is not None:
                    pairs[item.pair[0][1:]] = _text(item.pair[1])
                else:
                    columns |= {t[1:]: [_text(v) for v in block.find_loop(t)] for t in item.loop.tags}
            assert ours_block == (Loop(columns, pairs) if columns else pairs)


def test_long_tables_are_read_like_short_ones(tmp_path, monkeypatch):
    rows = "".join(f"p{k}.mrc same {k} {k / 7}\n" for k in range(500))
    (tmp_path / "a.star").write_text(f"data_x\n_p 1\nloop_\n_a\n_b\n_c\n_d\n{rows}\n\ndata_y\n_e 2\n")
    whole = read_star(tmp_path / "a.star")
    monkeypatch.setattr("torchsag.io.star._BATCH", 200)
    assert read_star(tmp_path / "a.star") == whole
    assert len(whole["x"]) == 500
    (tmp_path / "b.star").write_text((tmp_path / "a.star").read_text().replace("p300.mrc same", "p300.mrc"))
    with pytest.raises(InputError, match="line 308: expected 4 values, one for each column, got 3"):
        read_star(tmp_path / "b.star")
    # One value too few and one too many: the sum is right.
    (tmp_path / "b.star").write_text((tmp_path / "b.star").read_text().replace("p301.mrc same", "p301.mrc same more"))
    with pytest.raises(InputError, match="line 308"):
        read_star(tmp_path / "b.star")


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
        ("data_\n_a 1\n_a 2\n", "line 3: expected each name once in a block, got _a twice"),
        ("data_a\n_a 1\ndata_a\n_b 2\n", "line 3: expected each block once, got data_a twice"),
        ("data_a\nloop_\n_a\n_a\n1 2\n", "line 4: expected each column once, got _a twice"),
        ("data_a\nloop_\n_a\n_b\n1 2\nloop_\n_c\n1\n", "line 6: expected one table in a block"),
        ("data_a\nloop_\n_a\n_b\n1 2\n_c 3\n", "line 6: .* may be a row or a name and its value"),
        ("data_a\nloop_\n_a\n_b\n1 2\ndata_b _c 3\n", "line 6: expected the name of a block alone"),
        ("data_a\n_a 1\n_b x\x00y\n", r"line 3: expected text without control characters, got '\\x00'"),
        ("data_a\n_a 1\n_b x\x0cy\n", "line 3: expected text without control characters"),
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
