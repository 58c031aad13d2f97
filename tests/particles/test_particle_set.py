"""Particle sets: what load hands out, what it shares and what it sets aside."""

import pickle
from pathlib import Path

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import apply_filter
from torchsag.fourier.transforms import full_weight
from torchsag.geometry import Poses
from torchsag.imaging.wedge import missing_wedge
from torchsag.particles import (
    Corrected,
    ParticleError,
    ParticleSet,
    TiltRange,
    Transfer,
    VolumeReader,
    VolumeSource,
)
from torchsag.particles.weight_cache import WeightCache
from torchsag.particles.weighting import WeightAction

BOX = (8, 8, 8)


class _Shelf:
    """Volumes in memory that stand in for files, and a count of how often each is read."""

    def __init__(self, volumes):
        self.volumes = volumes
        self.reads = []

    def __call__(self, source):
        self.reads.append(source)
        if source.path.name not in self.volumes:
            raise InputError(f"{source.path}: no such file; check the path")
        return self.volumes[source.path.name]


def _source(name):
    return VolumeSource(Path(name))


def _particles(count=4, weights=None, weighting=None, **more):
    generator = torch.Generator().manual_seed(1)
    shelf = _Shelf({f"p{i}": torch.randn(BOX, generator=generator) for i in range(count)})
    shelf.volumes["w"] = full_weight(missing_wedge(BOX, -60.0, 60.0), BOX)
    names = tuple(f"p{i}" for i in range(count))
    weights = (None,) * count if weights is None else weights
    particles = ParticleSet(
        names, BOX, 4.0, tuple(map(_source, names)), weights, weighting or Corrected(), shelf, **more
    )
    return particles, shelf


def test_reader_protocol():
    assert isinstance(_Shelf({}), VolumeReader)


def test_without_weights_volumes_come_as_they_are():
    particles, shelf = _particles()
    batch = particles.load([2, 0])
    assert batch.names == ("p2", "p0")
    torch.testing.assert_close(batch.volumes[0], shelf.volumes["p2"])
    assert batch.weights.shape == (1, 8, 8, 5)
    assert batch.weights.min() == 1
    assert batch.weight_index.tolist() == [0, 0]
    assert batch.voxel_size == 4.0


def test_equal_tilt_ranges_share_one_weight():
    weights = (TiltRange(-60.0, 60.0), TiltRange(-50.0, 40.0), TiltRange(-60.0, 60.0), None)
    particles, shelf = _particles(weights=weights)
    batch = particles.load(range(4))
    assert batch.weight_index.tolist() == [0, 1, 0, 2]
    torch.testing.assert_close(batch.weights[1], missing_wedge(BOX, -50.0, 40.0))
    for k, name in enumerate(batch.names):
        expected = apply_filter(shelf.volumes[name], batch.weights[batch.weight_index[k]])
        torch.testing.assert_close(batch.volumes[k], expected, rtol=1e-5, atol=1e-5)


def test_weight_file_is_read_once_and_means_what_weighting_says():
    particles, shelf = _particles(weights=(_source("w"),) * 4, weighting=Transfer())
    first, second = particles.load([0, 1]), particles.load([2, 3])
    assert shelf.reads.count(_source("w")) == 1
    torch.testing.assert_close(first.weights[0], missing_wedge(BOX, -60.0, 60.0))
    torch.testing.assert_close(second.weights, first.weights)


def test_half_spectrum_weight_file():
    particles, shelf = _particles(weights=(_source("w"),) * 4)
    shelf.volumes["w"] = missing_wedge(BOX, -60.0, 60.0)
    torch.testing.assert_close(particles.load([0]).weights[0], missing_wedge(BOX, -60.0, 60.0))


def test_selection_keeps_everything_together():
    poses = Poses.identity(4, dtype=torch.float64)
    poses = Poses(poses.rotations, torch.arange(12, dtype=torch.float64).reshape(4, 3))
    particles, _ = _particles(
        poses=poses, halves=torch.tensor([1, 2, 1, 2]), classes=torch.tensor([1, 1, 2, 2]), tomograms=tuple("abcd")
    )
    chosen = particles.select([3, 1]).select([1])
    assert chosen.names == ("p1",)
    assert chosen.rows == (1,)
    assert chosen.tomograms == ("b",)
    assert chosen.halves.tolist() == [2]
    assert chosen.classes.tolist() == [1]
    batch = chosen.load([0])
    assert batch.poses.shifts.tolist() == [[3, 4, 5]]
    assert batch.poses.shifts.dtype == torch.float32


def test_bad_particles_are_all_named_at_once():
    particles, shelf = _particles(count=6)
    shelf.volumes["p1"][3, 3, 3] = float("nan")
    shelf.volumes["p2"][:] = 0
    shelf.volumes["p3"] = torch.zeros(8, 8, 7)
    del shelf.volumes["p5"]
    with pytest.raises(ParticleError, match=r"particle p1: .*NaN.* \(and 3 more") as caught:
        particles.load(range(6))
    assert list(caught.value.faults) == [1, 2, 3, 5]
    assert "0 in every voxel" in caught.value.faults[2]
    assert "(8, 8, 7)" in caught.value.faults[3]
    assert "no such file" in caught.value.faults[5]
    good = [i for i in range(6) if i not in caught.value.faults]
    assert len(particles.load(good)) == 2


def test_infinite_value_is_found():
    particles, shelf = _particles()
    shelf.volumes["p0"][0, 0, 0] = float("-inf")
    with pytest.raises(ParticleError, match="infinity"):
        particles.load([0])


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (torch.ones(7, 7, 7), "expected .8, 8, 8. voxels"),
        (torch.full(BOX, float("nan")), "NaN"),
        (torch.zeros(BOX), "positive"),
    ],
)
def test_bad_weight_names_particle_and_weight(stored, message):
    particles, shelf = _particles(weights=(None, _source("w"), None, None))
    shelf.volumes["w"] = stored
    with pytest.raises(ParticleError, match=f"particle p1: weight w: .*{message}") as caught:
        particles.load(range(4))
    assert list(caught.value.faults) == [1]


def test_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(ParticleError({3: "particle c: broken"})))
    assert error.faults == {3: "particle c: broken"}
    assert str(error) == "particle c: broken"


def test_empty_or_uneven_sets_are_refused():
    with pytest.raises(InputError, match="empty"):
        _particles(count=0)
    with pytest.raises(InputError, match="4 halves"):
        _particles(halves=torch.tensor([1, 2]))


def test_tilt_range_is_checked():
    with pytest.raises(InputError, match="tilt_min_deg < tilt_max_deg"):
        TiltRange(60.0, -60.0)


def test_cache_forgets_the_oldest_beyond_its_limit():
    cache = WeightCache(limit_bytes=3 * 400)
    made = []

    def make(key):
        made.append(key)
        weight = torch.zeros(5, 5, 4)
        return WeightAction(weight, weight)

    for key in (1, 2, 3, 1, 4, 1, 2):
        cache.get(key, lambda key=key: make(key))
    assert made == [1, 2, 3, 4, 2]
    assert len(cache) == 3


def test_copies_in_other_processes_start_with_an_empty_cache():
    cache = WeightCache(400)
    cache.get(1, lambda: WeightAction(torch.zeros(2, 2, 2), torch.zeros(2, 2, 2)))
    assert len(pickle.loads(pickle.dumps(cache))) == 0
