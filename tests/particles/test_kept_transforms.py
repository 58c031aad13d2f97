"""Particles read by way of a store: the same particles, read from their files once."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import half_frequencies
from torchsag.fourier.transforms import full_weight
from torchsag.imaging.wedge import missing_wedge
from torchsag.io import TransformFiles
from torchsag.particles import (
    Corrected,
    GriddedParticles,
    ParticleError,
    ParticleSet,
    TiltRange,
    Transfer,
    VolumeSource,
)
from torchsag.particles.pure_noise import PureNoise

N = 16
BOX = (N, N, N)
INSIDE = half_frequencies(BOX).norm(dim=-1) * N <= 5 + 1e-4


class _Files:
    def __init__(self, count):
        generator = torch.Generator().manual_seed(2)
        self.volumes = {f"p{i}": torch.randn(BOX, generator=generator) for i in range(count)}
        for i in range(count):
            wedge = missing_wedge(BOX, -40.0 - 4 * i, 50.0)
            self.volumes[f"w{i}"] = full_weight(wedge * torch.rand(wedge.shape, generator=generator), BOX)
        self.read = []

    def __call__(self, source):
        self.read.append(source.path.name)
        if source.path.name not in self.volumes:
            raise InputError(f"{source.path}: no such file")
        return self.volumes[source.path.name]


def _source(name):
    return VolumeSource(Path(name))


def _particles(folder, weights, weighting=None, limit=10**9):
    files = _Files(len(weights))
    names = tuple(f"p{i}" for i in range(len(weights)))
    plain = ParticleSet(names, BOX, 4.0, tuple(map(_source, names)), weights, weighting or Corrected(), files)
    store = TransformFiles(folder, N, {row: f"mark {row}" for row in plain.rows}, limit)
    return plain, replace(plain, kept=store), files


WEIGHTS = {
    "none": (None,) * 4,
    "one wedge": (TiltRange(-60.0, 60.0),) * 4,
    "two wedges": (TiltRange(-60.0, 60.0), TiltRange(-40.0, 50.0)) * 2,
    "a volume each": tuple(_source(f"w{i}") for i in range(4)),
    "a shared volume": (_source("w0"),) * 4,
}


@pytest.mark.parametrize("weights", WEIGHTS)
def test_particles_and_weights_are_those_of_the_files(tmp_path, weights):
    plain, kept, _ = _particles(tmp_path, WEIGHTS[weights], Transfer() if "volume" in weights else None)
    expected = plain.load([2, 0, 3])
    for _ in range(2):
        found = kept.up_to(5).load([2, 0, 3])
        assert found.names == expected.names
        torch.testing.assert_close(found.spectra[:, INSIDE], expected.spectra[:, INSIDE], rtol=1e-2, atol=0.1)
        own, theirs = found.weights[found.weight_index], expected.weights[expected.weight_index]
        torch.testing.assert_close(own[:, INSIDE], theirs[:, INSIDE], rtol=1e-3, atol=1e-4)
        assert bool(((own > 0) == (theirs > 0))[:, INSIDE].all())


@pytest.mark.parametrize("weights", WEIGHTS)
def test_gridded_particles_are_those_of_the_files(tmp_path, weights):
    plain, kept, _ = _particles(tmp_path, WEIGHTS[weights], Transfer() if "volume" in weights else None)
    expected = GriddedParticles.of(plain.load(range(4)))
    for _ in range(2):
        found = kept.load_gridded(range(4))
        scale = float(expected.spectra.abs().mean())
        near = half_frequencies(BOX).norm(dim=-1) * N <= 12 + 1e-4
        torch.testing.assert_close(found.spectra[:, near], expected.spectra[:, near], rtol=1e-2, atol=2e-3 * scale)


def test_each_volume_and_weight_is_read_once(tmp_path):
    _, kept, files = _particles(tmp_path, WEIGHTS["a volume each"], Transfer())
    kept.up_to(5).load(range(4))
    assert sorted(files.read) == sorted([f"p{i}" for i in range(4)] + [f"w{i}" for i in range(4)])
    kept.load_gridded(range(4))
    kept.up_to(3).select([3, 1]).load([1, 0])
    assert len(files.read) == 8


def test_a_second_reading_gives_the_very_same_numbers(tmp_path):
    _, kept, _ = _particles(tmp_path, WEIGHTS["one wedge"])
    first, second = (kept.up_to(5).load(range(4)) for _ in range(2))
    assert torch.equal(first.spectra, second.spectra)


def test_whoever_names_no_shell_gets_everything_there_is(tmp_path):
    plain, kept, _ = _particles(tmp_path, WEIGHTS["one wedge"])
    kept.up_to(5).load(range(4))
    assert torch.equal(kept.load(range(4)).spectra, plain.load(range(4)).spectra)


def test_particles_without_room_are_read_from_their_files(tmp_path):
    plain, kept, files = _particles(tmp_path, WEIGHTS["a volume each"], Transfer(), limit=100_000)
    assert kept.kept.keeps(0)
    assert not kept.kept.keeps(3)
    expected = plain.load(range(4))
    for _ in range(2):
        found = kept.up_to(5).load(range(4))
        torch.testing.assert_close(found.spectra[:, INSIDE], expected.spectra[:, INSIDE], rtol=1e-2, atol=0.1)
    assert files.read.count("p0") == 2  # by the plain set, and once
    assert files.read.count("p3") == 3


def test_unusable_particles_are_named_as_ever(tmp_path):
    _, kept, files = _particles(tmp_path, WEIGHTS["one wedge"])
    kept.up_to(5).load([0])
    files.volumes["p2"] = torch.full(BOX, torch.nan)
    for load in (kept.up_to(5).load, kept.load_gridded):
        with pytest.raises(ParticleError) as caught:
            load(range(4))
        assert set(caught.value.faults) == {2}


def test_noise_in_place_of_particles_never_comes_from_the_store(tmp_path):
    plain, kept, _ = _particles(tmp_path, WEIGHTS["one wedge"])
    expected = GriddedParticles.of(PureNoise.like(plain, 1).load(range(4)))
    kept.load_gridded(range(4))
    assert torch.equal(PureNoise.like(kept, 1).load_gridded(range(4)).spectra, expected.spectra)
