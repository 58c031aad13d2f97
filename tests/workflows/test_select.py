"""Particles chosen from lists whose contents are known."""

import csv
from pathlib import Path

import pytest
import torch

from torchsag.app.main import main
from torchsag.geometry import Symmetry
from torchsag.io import read_map, read_particles, write_map
from torchsag.io.lists import read_list
from torchsag.particles import DensityMap

SCORES = (0.5, 0.1, 0.9, 0.3, 0.7, 0.2)
HEAD = """data_optics

loop_
_rlnOpticsGroup
_rlnOpticsGroupName
_rlnImagePixelSize
_rlnImageSize
_rlnVoltage
1 one 4.0 8 300

data_particles

loop_
_rlnImageName
_rlnTomoName
_rlnCoordinateX
_rlnCoordinateY
_rlnCoordinateZ
_rlnAngleRot
_rlnAngleTilt
_rlnAnglePsi
_rlnOriginXAngst
_rlnOriginYAngst
_rlnOriginZAngst
_rlnRandomSubset
_rlnClassNumber
_torchsagScore
_torchsagAmbiguity
_torchsagSigmaRotationDeg
_torchsagTiltMinDeg
_torchsagTiltMaxDeg
_somebodysColumn
_rlnOpticsGroup
"""


def row(k, folder="vol"):
    tomogram = "TS_01" if k < 3 else "TS_02"
    return (
        f"{folder}/v{k}.mrc {tomogram} {10 * k} 5 5 {20 * k} 30 40 -4 0 0 {1 + k % 2} {1 + k // 2} {SCORES[k]} 0.{k} "
        f"{k}.5 -60 60 word{k} 1"
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """``p.star``: six particles, their volumes below ``vol``; ``q.star``: the last two and two more."""
    monkeypatch.chdir(tmp_path)
    for k in range(8):
        (tmp_path / "vol").mkdir(exist_ok=True)
        write_map(f"vol/v{k}.mrc", DensityMap(torch.rand(8, 8, 8) + k, 4.0))
    (tmp_path / "p.star").write_text(HEAD + "\n".join(row(k) for k in range(6)) + "\n")
    (tmp_path / "sub").mkdir()
    other = [row(k, "../vol").replace("word", "other") for k in (4, 5)]
    other = [line.replace(" 0.7 ", " 0.8 ").replace(" 0.2 ", " 0.1 ") for line in other]
    more = [row(k, "../vol").replace(f"/v{k}", f"/v{k + 6}") for k in (0, 1)]
    text = HEAD.replace("_somebodysColumn", "_anothersColumn").replace("1 one 4.0 8 300", "1 two 4.0 8 200")
    (tmp_path / "sub/q.star").write_text(text + "\n".join(other + more) + "\n")
    return tmp_path


def select(*words):
    assert main(["select", *words]) == 0


def kept(path):
    """The particles of a list by the number of their volume."""
    return [int(name.rpartition("v")[2].split(".")[0]) for name in read_list(path).names]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["least_score=0.3"], [0, 2, 3, 4]),
        (["classes=[1,3]"], [0, 1, 4, 5]),
        (["half=2"], [1, 3, 5]),
        (["tomograms=[TS_02]"], [3, 4, 5]),
        (["most_ambiguity=0.2"], [0, 1, 2]),
        (["most_rotation_error_deg=3.5"], [0, 1, 2, 3]),
        (["best=2"], [2, 4]),
        (["where=score > 0.2 and class != 1"], [2, 3, 4]),
        (["where=somebodysColumn in ['word1', 'word5'] or rlnAngleRot == 40"], [1, 2, 5]),
        (["where=not (0.15 < score < 0.6) and tomogram == 'TS_01'"], [1, 2]),
        (["where=abs(x - 25) <= 5"], [2, 3]),
        (["distance_angstrom=41"], [0, 2, 4]),  # the second tomogram keeps its best, 40 angstrom from both others
        (["distance_angstrom=40"], [0, 1, 2, 3, 4, 5]),
        (["least_score=0.2", "half=1", "best=1"], [2]),
    ],
)
def test_conditions(folder, words, expected):
    select("particles=p.star", "out=new.star", *words)
    assert kept("new.star") == expected


def test_what_is_not_asked_for_is_kept_word_for_word(folder):
    select("particles=p.star", "out=new.star", "least_score=0.6")
    before, after = read_list("p.star").blocks, read_list("new.star").blocks
    for name, values in before["particles"].columns.items():
        assert after["particles"].columns[name] == [values[2], values[4]], name
    assert after["optics"].columns["rlnVoltage"] == ["300"]


def test_a_random_choice_follows_from_its_seed(folder):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        select("particles=p.star", f"out={name}.star", "random=3", f"seed={seed}")
    assert len(kept("a.star")) == 3
    assert kept("a.star") == kept("b.star") != kept("c.star")


@pytest.mark.parametrize("suffix", ["csv", "tbl", "em", "xml", "star"])
def test_lists_of_all_programs(folder, suffix):
    program = ["program=stopgap"] if suffix == "star" else []
    assert main(["convert", "in=p.star", f"out=m.{suffix}", *program]) == 0
    condition = "where=class >= 2" if suffix == "csv" else "where=score > 0.25 and class >= 2"
    select(f"particles=m.{suffix}", f"out=new.{suffix}", condition, "volumes=vol")
    assert main(["convert", f"in=new.{suffix}", "out=new_.csv", "voxel_size_angstrom=4", "volumes=vol"]) == 0
    assert main(["convert", "in=p.star", "out=old_.csv"]) == 0
    rows, old = (list(csv.DictReader(Path(name).read_text().splitlines())) for name in ("new_.csv", "old_.csv"))
    expected = [old[k] for k in ((2, 3, 4, 5) if suffix == "csv" else (2, 3, 4))]
    assert [one["class"] for one in rows] == [one["class"] for one in expected]
    for name in ("rot_deg", "tilt_deg", "psi_deg", "shift_x"):
        assert [float(one[name]) for one in rows] == pytest.approx([float(one[name]) for one in expected], abs=1e-3)


def test_joined_lists_read_as_one(folder, caplog):
    select("particles=[p.star,sub/q.star]", "out=new.star", "clash=first")
    assert kept("new.star") == [0, 1, 2, 3, 4, 5, 6, 7]
    assert "columns that not all lists have are left out: somebodysColumn, anothersColumn" in caplog.text
    blocks = read_list("new.star").blocks
    assert blocks["optics"].columns["rlnVoltage"] == ["300", "200"]
    assert blocks["particles"].columns["rlnOpticsGroup"] == ["1"] * 6 + ["2"] * 2
    particles = read_particles("new.star")  # finds every volume
    assert particles.reader(particles.volumes[7]).mean() > 7
    torch.testing.assert_close(particles.poses.shifts[:, 0], torch.ones(8, dtype=torch.float64))


@pytest.mark.parametrize(
    ("clash", "scores"), [("first", [0.7, 0.2]), ("best", [0.8, 0.2]), ("all", [0.7, 0.2, 0.8, 0.1])]
)
def test_clashes_are_settled_by_rule(folder, clash, scores):
    select("particles=[p.star,sub/q.star]", "out=new.star", f"clash={clash}")
    listing = read_list("new.star")
    found = [s for n, s in zip(listing.names, listing.scores.tolist(), strict=True) if n.endswith(("v4.mrc", "v5.mrc"))]
    assert sorted(found) == sorted(scores)


def test_parts(folder):
    select("particles=p.star", "out=new.star", "split=tomogram")
    assert (kept("new_tomogram_TS_01.star"), kept("new_tomogram_TS_02.star")) == ([0, 1, 2], [3, 4, 5])
    select("particles=p.star", "out=h.star", "split=half")
    assert (kept("h_half_1.star"), kept("h_half_2.star")) == ([0, 2, 4], [1, 3, 5])
    select("particles=p.star", "out=n.star", "split=4")
    parts = [kept(f"n_{k}.star") for k in (1, 2, 3, 4)]
    assert sorted(map(len, parts)) == [1, 1, 2, 2]
    assert sorted(k for part in parts for k in part) == list(range(6))


def test_copies_by_symmetry_stay_in_their_half(folder):
    select("particles=p.star", "out=new.star", "expand=D2", "best=3")
    old, new = read_list("p.star"), read_list("new.star")
    assert kept("new.star") == [k for k in (0, 2, 4) for _ in range(4)]
    assert new.halves.tolist() == [1] * 12
    assert new.blocks["particles"].columns["torchsagSymmetryCopy"] == ["1", "2", "3", "4"] * 3
    group = Symmetry("D2")
    expected = (old.rotations[[0, 2, 4], None] @ group.rotations).reshape(-1, 3, 3)
    torch.testing.assert_close(new.rotations, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(new.shifts, old.shifts[[k for k in (0, 2, 4) for _ in range(4)]])


@pytest.mark.parametrize("suffix", ["star", "tbl"])
def test_poses_go_from_binning_to_binning(folder, suffix):
    """Where a particle lies in the specimen, and how it is turned, stays the same."""
    (folder / "bin1").mkdir()
    for k in range(6):
        write_map(f"bin1/v{k}.mrc", DensityMap(torch.rand(16, 16, 16), 2.0))
    source = f"p.{suffix}"
    if suffix == "tbl":
        assert main(["convert", "in=p.star", "out=p.tbl"]) == 0
    select(f"particles={source}", f"out=new.{suffix}", "new_volumes=bin1", "voxel_size_angstrom=4", "volumes=vol")
    old = read_list(source, None if suffix == "star" else "vol")
    new = read_list(f"new.{suffix}", None if suffix == "star" else "bin1")
    torch.testing.assert_close(new.poses(2.0).shifts * 2, old.poses(4.0).shifts * 4, atol=1e-4, rtol=0)
    torch.testing.assert_close(new.rotations, old.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(new.positions * 2, old.positions * 4, atol=1e-3, rtol=0)
    if suffix == "star":
        particles = read_particles("new.star")
        assert (particles.box, particles.voxel_size) == ((16, 16, 16), 2.0)
        assert [source.path.resolve().parent.name for source in particles.volumes] == ["bin1"] * 6
        assert read_map(particles.volumes[3].path).box == (16, 16, 16)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["least_score=2"], "least_score: expected a particle to be left of 6, got none for 2.0"),
        (["where=scor > 1"], "where: expected the name of a column, got 'scor'; there are"),
        (["where=__import__('os')"], "where: expected a condition made of"),
        (["where=score.real > 1"], "where: expected a condition made of"),
        (["where=score > 'a'"], "where: expected numbers compared with numbers"),
        (["where=score"], "where: expected a condition that is true or false"),
        (["where=score >"], "where: expected a condition made of"),
        (["expand=Q3"], "symmetry: expected C1"),
        (["split=colour"], "split: expected half, class, tomogram or a number above 1, got 'colour'"),
        (["split=9"], "split: expected at most as many parts as particles, 6, got 9"),
        (["clash=either"], "clash: expected one of stop, first, best, all"),
        (["new_volumes=vol2"], "new_volumes: expected a file or folder, got vol2"),
        (["new_volumes=sub"], "new_volumes: expected a volume for particle vol/v0.mrc in sub"),
        (["half=3"], "half: expected 1 or 2, got 3"),
        (["distance_angstrom=-1"], "distance_angstrom: expected a length above 0 angstrom, got -1"),
        (["out=new.txt"], "new.txt: expected a name ending in"),
        (["particles=[p.star,sub/q.star]"], "is also in p.star; say which to keep with clash=first, best or all"),
        (["particles=[p.star,nowhere.star]"], "particles: expected a file or folder, got nowhere.star"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(folder, capsys, words, sentence):
    given = ["particles=p.star", "out=new.star"]
    keys = {word.partition("=")[0] for word in words}
    assert main(["select", *(word for word in given if word.partition("=")[0] not in keys), *words]) == 2
    assert sentence in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == {"p.star", "sub", "vol"}
