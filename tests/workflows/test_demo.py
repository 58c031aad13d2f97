import csv
from dataclasses import dataclass, replace

import pytest
import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io import read_map, read_particles
from torchsag.particles import DensityMap
from torchsag.runs.provenance import Provenance
from torchsag.workflows.demo import Demo
from torchsag.workflows.simulate.command import Simulate


@dataclass(frozen=True)
class Ball:
    def density(self, box, voxel_size):
        axis = torch.arange(box) - box // 2
        squared = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).float()
        return DensityMap(torch.exp(-squared / 4), voxel_size)


@dataclass(frozen=True)
class Guess:
    """The same pose for all."""

    shift: float = 0.0

    def prepare(self, reference, symmetry, device="cpu"):
        def align(particles):
            count = len(particles)
            nan = torch.full((count,), float("nan"))
            poses = Poses(torch.eye(3).expand(count, 3, 3), torch.full((count, 3), self.shift))
            done = torch.ones(count, dtype=torch.bool)
            return AlignmentResult(poses, torch.ones(count), torch.full((count, 6, 6), float("nan")), nan, done, nan)

        return align


@pytest.fixture
def demo(tmp_path):
    out = tmp_path / "out"
    simulation = Simulate(str(out / "data"), Ball(), n=3, box=8, low_pass_angstrom=None)
    return Demo({"first": Guess(), "second": Guess(1.0)}, simulation, str(out))


def test_each_method_has_a_row_and_a_folder_and_the_first_is_the_demos_own(demo, tmp_path):
    outcome = demo(Provenance("demo"))
    out = tmp_path / "out"
    assert [row[0] for row in outcome.rows] == ["first", "second"]
    assert (out / "methods" / "second" / "poses.star").exists()
    assert torch.equal(read_particles(out / "poses.star").poses.shifts, torch.zeros(3, 3, dtype=torch.float64))
    with (out / "comparison.csv").open() as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["first", "second"]
    assert read_map(out / "average.mrc").box == (8, 8, 8)
    true = read_particles(out / "data" / "particles.star")
    assert len(true) == 3
    assert read_particles(out / "data" / "particles.csv").poses is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"methods": {}}, "methods: expected at least one aligner"),
        ({"symmetry": "Q"}, "symmetry: expected C1"),
    ],
)
def test_bad_settings(demo, change, sentence):
    with pytest.raises(InputError, match=sentence):
        replace(demo, **change)
