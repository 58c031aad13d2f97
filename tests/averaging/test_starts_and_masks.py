from dataclasses import replace
from pathlib import Path

import pytest
import torch

from torchsag.averaging.mask import Mask, MaskFromFile, MaskFromMap, SphericalMask
from torchsag.averaging.starts import BestParticles, ListedPoses, RandomOrientations, Start
from torchsag.errors import InputError
from torchsag.geometry import Poses, random_rotations
from torchsag.imaging.masks import spherical_mask
from torchsag.io import write_map
from torchsag.particles import DensityMap, ParticleSet
from torchsag.particles.sources import VolumeSource
from torchsag.particles.weighting import Transfer


def _set(poses=None, count=4):
    return ParticleSet(
        names=tuple(f"p{i}" for i in range(count)),
        box=(8, 8, 8),
        voxel_size=5.0,
        volumes=tuple(VolumeSource(Path(f"p{i}.mrc")) for i in range(count)),
        weights=(None,) * count,
        weighting=Transfer(),
        reader=lambda source: torch.zeros(8, 8, 8),
        poses=poses,
    )


def _listed():
    rotations = random_rotations(4, torch.Generator().manual_seed(7), torch.float64)
    return Poses(rotations, torch.arange(12, dtype=torch.float64).reshape(4, 3))


def test_the_best_particles_of_each_half_begin():
    structure = torch.zeros(16, 16, 16)
    structure[5:11, 5:11, 5:11] = 1.0
    strength = [0.0, 3.0, 1.0, 0.0, 2.0, 5.0]

    def read(source):
        i = int(source.path.stem[1:])
        return strength[i] * structure + torch.randn(16, 16, 16, generator=torch.Generator().manual_seed(i))

    halves = torch.tensor([1, 1, 1, 2, 2, 2])
    particles = replace(_set(count=6), box=(16, 16, 16), voxel_size=10.0, reader=read, halves=halves)
    for per_half, expected in ((1, [1, 5]), (2, [1, 2, 4, 5])):
        start = BestParticles(per_half=per_half, resolution_angstrom=50.0)
        assert isinstance(start, Start)
        poses = start(particles, seed=0)
        assert poses.shifts.isfinite().all(-1).nonzero()[:, 0].tolist() == expected
    with pytest.raises(InputError, match="resolution_angstrom: expected more than"):
        BestParticles(resolution_angstrom=20.0)(particles, seed=0)
    with pytest.raises(InputError, match="per_half"):
        BestParticles(per_half=0)


def test_random_orientations_keep_listed_shifts_and_follow_the_seed():
    start = RandomOrientations()
    assert isinstance(start, Start)
    assert not start.common_frame
    first = start(_set(_listed()), seed=1)
    assert torch.equal(first.shifts, _listed().shifts.float())
    assert not torch.allclose(first.rotations, _listed().rotations.float())
    assert torch.equal(first.rotations, start(_set(_listed()), seed=1).rotations)
    assert not torch.equal(first.rotations, start(_set(_listed()), seed=2).rotations)
    assert bool((start(_set(), seed=1).shifts == 0).all())


def test_listed_poses_are_the_lists():
    poses = ListedPoses()(_set(_listed()), seed=0)
    assert torch.equal(poses.rotations, _listed().rotations.float())
    assert ListedPoses().common_frame
    with pytest.raises(InputError, match="expected a list with poses"):
        ListedPoses()(_set(), seed=0)


def _ball(n=32, radius=7.0):
    noise = torch.randn(n, n, n, generator=torch.Generator().manual_seed(0))
    return DensityMap(spherical_mask((n, n, n), radius, 2.0) + 0.2 * noise, 5.0)


def test_spherical_mask_has_its_diameter():
    mask = SphericalMask(diameter_angstrom=100.0, edge_angstrom=20.0)(_ball(), 60.0)
    row = mask[16, 16, 16:]
    assert float(row[10]) == pytest.approx(0.5)
    assert float(row[8]) == pytest.approx(1.0)
    assert float(row[12]) == pytest.approx(0.0, abs=1e-6)


def test_mask_from_the_map_holds_the_particle():
    outline = MaskFromMap(low_pass_angstrom=30.0, grow_angstrom=10.0, edge_angstrom=15.0)
    assert isinstance(outline, Mask)
    mask = outline(_ball(), 30.0)
    assert float(mask[16, 16, 10:22].min()) == 1
    assert float(mask[16, 16, 0]) == 0


def test_mask_from_a_file_is_checked(tmp_path):
    good, wrong_box, not_a_mask = (tmp_path / name for name in ("good.mrc", "box.mrc", "values.mrc"))
    write_map(good, DensityMap(spherical_mask((32, 32, 32), 8.0), 5.0))
    write_map(wrong_box, DensityMap(spherical_mask((16, 16, 16), 4.0), 5.0))
    write_map(not_a_mask, DensityMap(5 * spherical_mask((32, 32, 32), 8.0), 5.0))
    torch.testing.assert_close(MaskFromFile(str(good))(_ball(), 60.0), spherical_mask((32, 32, 32), 8.0))
    with pytest.raises(InputError, match="expected a mask of"):
        MaskFromFile(str(wrong_box))(_ball(), 60.0)
    with pytest.raises(InputError, match="values from 0 to 1"):
        MaskFromFile(str(not_a_mask))(_ball(), 60.0)


def test_impossible_lengths_are_refused():
    with pytest.raises(InputError, match=r"^diameter_angstrom: expected"):
        SphericalMask(diameter_angstrom=-1.0)
    with pytest.raises(InputError, match="mask: expected"):
        MaskFromMap(edge_angstrom=0.0)
