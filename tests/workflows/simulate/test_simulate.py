"""Data sets written by the simulation: complete, readable, resumable, the same however they are made."""

import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Symmetry
from torchsag.imaging.placement import place_spectrum
from torchsag.io import read_map, read_particles
from torchsag.runs.provenance import Provenance
from torchsag.simulation.fast import FastPipeline
from torchsag.simulation.pose_distribution import UniformPoses
from torchsag.simulation.structures import CappedPhantom, GroelPhantom
from torchsag.simulation.tilt_scheme import RegularTilts
from torchsag.simulation.tilt_series import TiltSeriesPipeline
from torchsag.spectra.gridding import ContinuousSpectrum
from torchsag.workflows.simulate.command import Simulate


def simulate(out, **changes):
    settings = {"n": 5, "box": 24, "voxel_size_angstrom": 10.0, "chunk": 2, "device": "cpu"} | changes
    workflow = Simulate(str(out), settings.pop("structure", GroelPhantom()), **settings)
    return workflow(Provenance("simulate", "seed: 0\n"))


def volumes_of(folder):
    particles = read_particles(folder)
    return particles.load(range(len(particles)))


PIPELINES = [FastPipeline(math.inf), TiltSeriesPipeline(math.inf, RegularTilts(60.0, step_deg=5.0), defocus_um=-2.0)]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda p: type(p).__name__)
def test_what_is_read_back_is_the_reference_at_the_listed_poses(tmp_path, pipeline):
    simulate(tmp_path, pipeline=pipeline)
    batch = volumes_of(tmp_path)
    reference = read_map(tmp_path / "reference.mrc")
    assert batch.poses is not None
    placed = place_spectrum(ContinuousSpectrum.of(reference.density), batch.poses) * batch.weights[batch.weight_index]
    found = to_half_spectrum(batch.volumes)
    for i in range(len(batch)):
        correlation = (found[i] * placed[i].conj()).real.sum() / (found[i].norm() * placed[i].norm())
        assert float(correlation) > (0.9999 if isinstance(pipeline, FastPipeline) else 0.97)


def test_shifts_over_the_border_are_announced(tmp_path, caplog):
    simulate(tmp_path / "near", poses=UniformPoses(1.0), n=1)
    assert "use box=" not in caplog.text
    simulate(tmp_path / "far", poses=UniformPoses(9.0), n=20)
    assert "use box=" in caplog.text


def test_all_files_are_there(tmp_path):
    outcome = simulate(tmp_path, low_pass_angstrom=40.0)
    names = {path.name for path in tmp_path.iterdir()}
    expected = {"particles", "weights", "particles.star", "reference.mrc", "reference_40A.mrc"}
    assert names == expected | {"metrics.json", "config.yaml"}
    assert len(list((tmp_path / "particles").iterdir())) == 5
    assert len(list((tmp_path / "weights").iterdir())) == 1
    assert any("before the wedge" in note for note in outcome.notes)


def test_chunks_do_not_matter(tmp_path):
    simulate(tmp_path / "one", chunk=1)
    simulate(tmp_path / "all", chunk=16)
    torch.testing.assert_close(volumes_of(tmp_path / "one").volumes, volumes_of(tmp_path / "all").volumes)


def test_own_defocus_means_own_weight(tmp_path):
    tilts = RegularTilts(60.0, step_deg=10.0)
    simulate(tmp_path, pipeline=TiltSeriesPipeline(tilts=tilts, defocus_spread_um=1.0), n=3)
    assert len(list((tmp_path / "weights").iterdir())) == 3


def test_half_precision_keeps_three_digits(tmp_path):
    simulate(tmp_path / "whole", n=2)
    simulate(tmp_path / "half", n=2, float16=True)
    whole, half = volumes_of(tmp_path / "whole").volumes, volumes_of(tmp_path / "half").volumes
    assert 0 < float((whole - half).abs().max()) < 2e-3 * float(whole.abs().max())
    sizes = [(tmp_path / one / "particles" / "particle_000000.mrc").stat().st_size for one in ("whole", "half")]
    assert sizes[0] - 1024 == 2 * (sizes[1] - 1024)


def test_a_killed_run_carries_on(tmp_path, monkeypatch):
    simulate(tmp_path / "straight")
    from torchsag.workflows.simulate.particle_writer import ParticleWriter

    make = ParticleWriter.__call__
    made = []

    def killed(self, rows):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(rows)
        return make(self, rows)

    monkeypatch.setattr(ParticleWriter, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "killed")
    assert not (tmp_path / "killed" / "particles.star").exists()
    monkeypatch.setattr(ParticleWriter, "__call__", lambda self, rows: made.append(rows) or make(self, rows))
    simulate(tmp_path / "killed")
    assert made == [range(2), range(2, 4), range(4, 5)]
    assert torch.equal(volumes_of(tmp_path / "straight").volumes, volumes_of(tmp_path / "killed").volumes)


def test_a_killed_run_with_other_settings_is_refused(tmp_path, monkeypatch):
    from torchsag.workflows.simulate.particle_writer import ParticleWriter

    def killed(self, rows):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ParticleWriter, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            simulate(tmp_path)
    with pytest.raises(InputError, match="holds an unfinished run with other settings"):
        simulate(tmp_path, seed=1)
    simulate(tmp_path, seed=1, resume=False)


def test_a_finished_set_is_made_anew_with_another_seed(tmp_path):
    simulate(tmp_path, n=2)
    first = volumes_of(tmp_path).volumes
    simulate(tmp_path, n=2, seed=1)
    assert not torch.allclose(first, volumes_of(tmp_path).volumes)


def test_mixtures_carry_class_labels(tmp_path):
    simulate(
        tmp_path, n=12, others={"second": CappedPhantom()}, proportions=[1.0, 3.0], pipeline=FastPipeline(math.inf)
    )
    particles = read_particles(tmp_path)
    assert particles.classes is not None
    counts = particles.classes.bincount(minlength=3).tolist()
    assert counts[0] == 0
    assert counts[2] > counts[1] > 0
    assert (tmp_path / "reference_class2.mrc").exists()
    batch = particles.load(range(12))
    assert batch.poses is not None
    spectra = [
        place_spectrum(ContinuousSpectrum.of(read_map(tmp_path / name).density), batch.poses) * batch.weights[0]
        for name in ("reference.mrc", "reference_class2.mrc")
    ]
    found = to_half_spectrum(batch.volumes)
    for i, label in enumerate(particles.classes.tolist()):
        distance = [float((found[i] - one[i]).norm()) for one in spectra]
        assert distance[label - 1] < distance[2 - label]


def test_poses_are_those_of_the_distribution(tmp_path):
    simulate(tmp_path, poses=UniformPoses(1.5), seed=3)
    listed = read_particles(tmp_path).poses
    true = UniformPoses(1.5).draw(3, range(5))
    assert listed is not None
    assert float(Symmetry().distance(listed.rotations, true.rotations).max()) < 1e-5
    torch.testing.assert_close(listed.shifts, true.shifts, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "n: expected at least 1, got 0"),
        ({"box": 4}, "box: expected at least 8"),
        ({"box": 16}, r"a box of 16 voxels at 10 A is too small .* use box=22"),
        ({"voxel_size_angstrom": 0.0}, "voxel_size_angstrom: expected a number above 0"),
        ({"proportions": [1.0, 1.0]}, "proportions: expected 1 numbers"),
        ({"low_pass_angstrom": 5.0}, "low_pass_angstrom: expected at least two voxels"),
        ({"seed": -1}, "seed: expected"),
    ],
    ids=str,
)
def test_refuses_nonsense(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        simulate(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_pipeline_that_does_not_say_its_snr_is_refused_at_once(tmp_path):
    class Silent:
        snr_convention = "none"

        def prepare(self, reference):
            raise AssertionError("nothing may be made")

    simulate = Simulate(str(tmp_path / "out"), GroelPhantom())
    object.__setattr__(simulate, "pipeline", Silent())  # annotations are checked under pytest alone
    with pytest.raises(InputError, match=r"pipeline: expected an object with prepare, snr .* got Silent"):
        simulate.__post_init__()
