from pathlib import Path

import pytest
import torch

from torchsag.averaging.halves import Halves, HalvesByTomogram, ListedHalves, RandomHalves
from torchsag.errors import InputError
from torchsag.particles import ParticleSet
from torchsag.particles.sources import VolumeSource
from torchsag.particles.weighting import Transfer


def _set(count, tomograms=None, halves=None, poses=None):
    sources = tuple(VolumeSource(Path(f"p{i}.mrc")) for i in range(count))
    return ParticleSet(
        names=tuple(f"p{i}" for i in range(count)),
        box=(8, 8, 8),
        voxel_size=5.0,
        volumes=sources,
        weights=(None,) * count,
        weighting=Transfer(),
        reader=lambda source: torch.zeros(8, 8, 8),
        poses=poses,
        halves=halves,
        tomograms=tomograms,
    )


def test_random_halves_are_equal_random_and_reproducible():
    particles = _set(101)
    halves = RandomHalves()(particles, seed=3)
    assert sorted([int((halves == 1).sum()), int((halves == 2).sum())]) == [50, 51]
    assert torch.equal(halves, RandomHalves()(particles, seed=3))
    assert not torch.equal(halves, RandomHalves()(particles, seed=4))


def test_tomograms_stay_whole_and_halves_nearly_equal():
    names = tuple("a" * 30 + "b" * 20 + "c" * 15 + "d" * 5)
    halves = HalvesByTomogram()(_set(70, tomograms=names), seed=0)
    for name in "abcd":
        members = torch.tensor([n == name for n in names])
        assert len(set(halves[members].tolist())) == 1
    assert {int((halves == 1).sum()), int((halves == 2).sum())} == {35}


def test_listed_halves_are_taken_as_they_are():
    listed = torch.tensor([1, 2, 2, 1, 2])
    assert torch.equal(ListedHalves()(_set(5, halves=listed), seed=0), listed)


@pytest.mark.parametrize(
    ("halves", "particles", "message"),
    [
        (ListedHalves(), _set(3), "half-set column"),
        (HalvesByTomogram(), _set(3), "tomogram column"),
        (HalvesByTomogram(), _set(3, tomograms=("a", "a", "a")), "got 3 and 0 of 3"),
        (ListedHalves(), _set(3, halves=torch.tensor([1, 2, 0])), "got 1 and 1 of 3"),
        (RandomHalves(), _set(1), "got 1 and 0 of 1"),
    ],
)
def test_an_empty_half_or_a_missing_column_is_refused(halves, particles, message):
    assert isinstance(halves, Halves)
    with pytest.raises(InputError, match=message):
        halves(particles, seed=0)
