"""``torchsag.select``: the command's choice, as particles."""

import pytest
import torch

import torchsag
from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io import read_particles, write_map, write_poses
from torchsag.particles import DensityMap

SCORES = [0.1, 0.4, 0.3, 0.2]


@pytest.fixture
def lists(tmp_path, monkeypatch):
    """``one.star`` with scores and ``two.star`` with other particles, named relative to the working folder."""
    monkeypatch.chdir(tmp_path)
    for folder in ("one", "two"):
        for number in range(4):
            write_map(tmp_path / f"{folder}/{number}.mrc", DensityMap(torch.rand(8, 8, 8), 5.0))
        particles = read_particles(folder, tilt_min_deg=-60, tilt_max_deg=60)
        poses = Poses.identity(4)
        poses.shifts[:, 0] = torch.arange(4.0)
        write_poses(tmp_path / f"{folder}.star", particles, poses, scores=torch.tensor(SCORES))
    return tmp_path


def test_chosen_particles_come_back_with_poses_and_can_be_read(lists):
    chosen = torchsag.select("one.star", least_score=0.25)
    assert [name.rsplit("/", 1)[-1] for name in chosen.names] == ["1.mrc", "2.mrc"]
    assert chosen.poses.shifts[:, 0].tolist() == pytest.approx([1.0, 2.0])
    expected = read_particles("one.star").load([1, 2]).volumes
    assert torch.equal(chosen.load([0, 1]).volumes, expected)
    assert not list(lists.glob("selected*"))


def test_lists_are_joined_and_written_where_told(lists):
    chosen = torchsag.select(["one.star", "two.star"], best=3, out="best.star")
    assert len(chosen.names) == 3
    assert read_particles("best.star").names == chosen.names


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ({"particles": []}, "particles: expected the path of a list, or several, got list"),
        ({"particles": "one.star", "expand": "D2"}, "expand: expected none from Python"),
        ({"particles": "one.star", "split": "half"}, "split: expected none from Python"),
        ({"particles": "one.star", "least_scores": 1}, "least_scores: expected a setting of select"),
        ({"particles": "one.star", "least_score": 2.0}, "least_score: expected a particle to be left of 4"),
        ({"particles": "none.star"}, "none.star"),
    ],
)
def test_refuses(lists, call, sentence):
    with pytest.raises(InputError, match=sentence):
        torchsag.select(**call)
    assert not list(lists.glob("selected*"))
