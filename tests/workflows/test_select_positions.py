"""Lists of positions alone, of particles that have no volumes yet, are chosen from like others."""

import pytest
import torch

from torchsag.app.main import main
from torchsag.geometry import Symmetry
from torchsag.io.position_list import read_positions

HEAD = """data_particles

loop_
_rlnTomoName
_rlnCoordinateX
_rlnCoordinateY
_rlnCoordinateZ
_rlnAngleRot
_rlnAngleTilt
_rlnAnglePsi
_rlnRandomSubset
_somebodysColumn
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"TS_{1 + k // 3} {10 * k} 20 30 {10 * k} 20 30 {1 + k % 2} word{k}" for k in range(6)]
    (tmp_path / "picks.star").write_text(HEAD + "\n".join(rows) + "\n")
    (tmp_path / "picks.csv").write_text("tomogram,x,y,z\na.mrc,1,2,3\na.mrc,4,5,6\nb.mrc,7,8,9\n")
    return tmp_path


def select(*words):
    return main(["select", *words])


def test_positions_are_chosen_and_written_without_names_of_volumes(here):
    assert select("particles=picks.star", "out=out.star", "half=1") == 0
    chosen = read_positions("out.star")
    assert not chosen.named
    assert chosen.positions[:, 0].tolist() == [0.0, 20.0, 40.0]
    assert chosen.halves.tolist() == [1, 1, 1]
    text = (here / "out.star").read_text()
    assert "rlnImageName" not in text
    assert "word2" in text


def test_csv_in_and_out(here):
    assert select("particles=picks.csv", "out=out.csv", "tomograms=[b.mrc]") == 0
    assert (here / "out.csv").read_text().splitlines() == ["tomogram,x,y,z", "b.mrc,7.000000,8.000000,9.000000"]


def test_splits_and_joins_keep_halves_and_know_positions_again(here, capsys):
    assert select("particles=picks.star", "out=part.star", "split=tomogram") == 0
    assert select("particles=[part_tomogram_TS_1.star,part_tomogram_TS_2.star]", "out=both.star") == 0
    both, listed = read_positions("both.star"), read_positions("picks.star")
    assert both.halves.tolist() == listed.halves.tolist()
    torch.testing.assert_close(both.positions, listed.positions)
    capsys.readouterr()
    assert select("particles=[picks.star,part_tomogram_TS_1.star]", "out=no.star") == 2
    assert "is also in picks.star" in capsys.readouterr().err
    assert select("particles=[picks.star,part_tomogram_TS_1.star]", "out=once.star", "clash=first") == 0
    assert len(read_positions("once.star").names) == 6


def test_symmetry_copies_of_a_position_stay_in_its_half(here):
    assert select("particles=picks.star", "out=out.star", "expand=D2") == 0
    copies, listed = read_positions("out.star"), read_positions("picks.star")
    order = Symmetry("D2").order
    assert copies.halves.tolist() == listed.halves.repeat_interleave(order).tolist()
    torch.testing.assert_close(copies.positions, listed.positions.repeat_interleave(order, 0))
    torch.testing.assert_close(copies.rotations[:order], listed.rotations[:1] @ Symmetry("D2").rotations.double())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["out=out.xml"], "extract the particles first"),
        (["out=out.star", "new_volumes=."], "gives positions alone"),
        (["out=out.star", "distance_angstrom=5"], "give voxel_size_angstrom="),
        (["out=out.star", "least_score=1"], "score"),
    ],
)
def test_what_positions_alone_cannot_say_is_answered_in_a_sentence(here, capsys, words, said):
    assert select("particles=picks.star", *words) == 2
    assert said in capsys.readouterr().err
    assert not (here / "out.star").exists()


@pytest.mark.parametrize("unsized", ["picks.star", "picks.csv"])
def test_positions_that_count_nobody_knows_what_do_not_join_those_that_do(here, capsys, unsized):
    sized = HEAD.replace("_somebodysColumn", "_rlnPixelSize") + "TS_9 10 20 30 0 0 0 1 4.0\n"
    (here / "sized.star").write_text(sized)
    words = [f"particles=[sized.star,{unsized}]", "out=out.star"]
    assert select(*words) == 2
    assert (
        f"{unsized}: does not say what its positions count, and sized.star has voxels of 4" in capsys.readouterr().err
    )
    assert not (here / "out.star").exists()
    assert select(*words, "voxel_size_angstrom=4") == 0
    assert len(read_positions("out.star").names) == 1 + len(read_positions(unsized).names)


def test_volumes_in_one_list_only_are_no_join(here, capsys):
    (here / "named.csv").write_text("volume,tomogram,x,y,z\nv1.mrc,a.mrc,1,2,3\n")
    assert select("particles=[named.csv,picks.csv]", "out=out.csv") == 2
    assert "in all lists or in none" in capsys.readouterr().err
