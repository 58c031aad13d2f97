"""True poses and classes are found by the particles' names."""

import pytest
import torch

from torchsag.errors import InputError
from torchsag.geometry import Poses, random_rotations
from torchsag.io import read_particles, write_map, write_poses
from torchsag.particles import DensityMap
from torchsag.runs.truth import true_classes, true_poses

COUNT = 5


@pytest.fixture
def particles(tmp_path):
    for i in range(COUNT):
        write_map(tmp_path / f"data/{i}.mrc", DensityMap(torch.rand(8, 8, 8), 5.0))
    (tmp_path / "particles.csv").write_text("volume\n" + "".join(f"data/{i}.mrc\n" for i in range(COUNT)))
    return read_particles(tmp_path / "particles.csv", tilt_min_deg=-60, tilt_max_deg=60)


def test_poses_of_a_list_in_another_order(particles, tmp_path):
    generator = torch.Generator().manual_seed(0)
    poses = Poses(random_rotations(COUNT, generator), torch.randn(COUNT, 3, generator=generator))
    backwards = torch.arange(COUNT).flip(0)
    write_poses(tmp_path / "true.star", particles.select(backwards.tolist()), poses[backwards])
    found = true_poses(str(tmp_path / "true.star"), particles.select([3, 1]))
    assert found.rotations.dtype == torch.float32
    torch.testing.assert_close(found.rotations, poses.rotations[[3, 1]], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.shifts, poses.shifts[[3, 1]], atol=1e-4, rtol=0)


def test_classes_of_a_list_in_another_order(particles, tmp_path):
    rows = "".join(f"data/{i}.mrc,{i + 1}\n" for i in (4, 2, 0, 1, 3))
    (tmp_path / "classes.csv").write_text("volume,class\n" + rows)
    assert true_classes(str(tmp_path / "classes.csv"), particles).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("reader", "what"), [(true_poses, "pose"), (true_classes, "class")])
def test_names_the_particle_without(particles, tmp_path, reader, what):
    (tmp_path / "list.csv").write_text("volume\n" + "".join(f"data/{i}.mrc\n" for i in range(COUNT)))
    with pytest.raises(
        InputError, match=rf"list.csv: expected a true {what} for every particle, found none for .*0.mrc"
    ):
        reader(str(tmp_path / "list.csv"), particles)
    (tmp_path / "list.csv").write_text("volume,class\ndata/0.mrc,1\ndata/1.mrc,1\n")
    with pytest.raises(InputError, match=rf"expected a true {what} .* found none for data/2.mrc"):
        reader(str(tmp_path / "list.csv"), particles)
