"""What ``import torchsag`` offers: names, arrays in memory, functions that agree with what is underneath."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import torchsag
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.app.catalogue import choices
from torchsag.app.from_python import component
from torchsag.errors import InputError
from torchsag.fourier.transforms import full_weight
from torchsag.search.local_grid import LocalGrid


@pytest.fixture(scope="module")
def simulated():
    return torchsag.simulate("ribosome", 6, snr=3.0, box=20, voxel_size=18.0, max_shift=1.0)


def rotation_error_deg(poses, truth):
    return torch.rad2deg(torchsag.Symmetry().distance(poses.rotations, truth.rotations.to(poses.rotations)))


def test_every_name_is_there_typed_and_loaded_when_used():
    assert set(torchsag.__all__) == {*torchsag._HOMES, "__version__"}
    assert set(torchsag.__all__) <= set(dir(torchsag))
    for name in torchsag.__all__:
        assert getattr(torchsag, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'algin'"):
        _ = torchsag.algin
    tree = ast.parse(Path(torchsag.__file__).read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    assert {alias.name: node.module for node in checked.body for alias in node.names} == torchsag._HOMES
    assert Path(torchsag.__file__).with_name("py.typed").exists()


def test_import_loads_nothing_heavy():
    code = "import sys, torchsag; sys.exit(bool({'torch', 'numpy', 'hydra', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_batch_of_arrays_is_what_the_simulation_made(simulated):
    volumes = simulated.particles.volumes.numpy()
    for kind in (
        volumes,
        volumes.astype(np.float64),
        torch.from_numpy(volumes),
        volumes.astype(">f4"),
        volumes.tolist(),
    ):
        batch = torchsag.ParticleBatch.from_arrays(kind, 18, tilt_range=torchsag.TiltRange(-60, 60))
        torch.testing.assert_close(batch.spectra, simulated.particles.spectra, atol=0.1, rtol=1e-4)
        assert torch.equal(batch.weights, simulated.particles.weights)
        assert batch.voxel_size == 18
        assert batch.names[0] == "particle_000000"


@pytest.mark.parametrize("layout", ["whole", "half"])
@pytest.mark.parametrize("each", [True, False])
def test_weights_may_be_whole_or_half_and_one_or_many(simulated, layout, each):
    half = simulated.particles.weights[0] * 0.5
    weight = half if layout == "half" else full_weight(half, (20, 20, 20))
    weights = weight.expand(6, *weight.shape) if each else weight[None]
    batch = torchsag.ParticleBatch.from_arrays(simulated.particles.volumes, 18.0, weights=weights)
    torch.testing.assert_close(batch.weights[batch.weight_index], half.expand(6, *half.shape))
    torch.testing.assert_close(batch.spectra, simulated.particles.spectra, atol=0.1, rtol=1e-4)


def test_arrays_batches_sets_and_files_are_aligned_alike(simulated, tmp_path):
    batch = simulated.particles
    torchsag.write_particles(tmp_path / "list.star", batch)
    torchsag.write_map(tmp_path / "reference.mrc", simulated.reference)
    expected = CurvatureSAGAligner().prepare(simulated.reference, torchsag.Symmetry())(batch)
    volumes = batch.volumes
    ways = [
        torchsag.align(batch, simulated.reference),
        torchsag.align(volumes.numpy(), simulated.reference.density.numpy(), voxel_size=18, tilt_range=(-60, 60)),
        torchsag.align(tmp_path / "list.star", tmp_path / "reference.mrc", chunk=4),
        torchsag.align(
            torchsag.read_particles(tmp_path / "list.star"), simulated.reference, method=CurvatureSAGAligner()
        ),
    ]
    for found in ways:
        assert float(rotation_error_deg(found.poses, expected.poses).max()) < 0.1
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)
        assert found.covariances.shape == (6, 6, 6)
        assert found.faults == ("",) * 6
        assert found.average.box == (20, 20, 20)
    assert float(rotation_error_deg(ways[0].poses, simulated.poses).median()) < 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "list.mrcs", "list.star", "list_weights.mrcs", "reference.mrc", "weights",
    ]  # fmt: skip


def test_align_writes_where_it_is_told_and_returns_the_same(simulated, tmp_path):
    quiet = torchsag.align(simulated.particles, simulated.reference)
    loud = torchsag.align(simulated.particles, simulated.reference, out=tmp_path / "out", report=None)
    torch.testing.assert_close(loud.poses.rotations, quiet.poses.rotations, atol=1e-3, rtol=0)
    torch.testing.assert_close(loud.average.density, quiet.average.density, atol=1e-2, rtol=1e-2)
    listed = torchsag.read_particles(tmp_path / "out" / "poses.star")
    assert float(rotation_error_deg(loud.poses, listed.poses).max()) < 1e-2
    loud.write(tmp_path / "mine.star")
    assert float(rotation_error_deg(loud.poses, torchsag.read_particles(tmp_path / "mine.star").poses).max()) < 1e-2


def test_align_gives_its_verdict_and_takes_every_setting_without_a_folder(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    right = torchsag.align(simulated.particles, simulated.reference)
    dark = torchsag.DensityMap(-simulated.reference.density, simulated.reference.voxel_size)
    wrong = torchsag.align(simulated.particles, dark, method="fast_matching")
    assert right.verdict.trust == "yes"
    assert "contrast_opposite" in {finding.code for finding in wrong.verdict.findings}
    mirrored = torchsag.align(simulated.particles, simulated.reference.mirrored("z"), mirror=True, strict=True)
    torch.testing.assert_close(mirrored.scores, right.scores, atol=1e-3, rtol=0)
    assert not any(tmp_path.iterdir())


def test_written_particles_are_read_back_as_they_were(simulated, tmp_path):
    torchsag.write_particles(tmp_path / "p.star", simulated.particles, simulated.poses, classes=torch.arange(1, 7))
    back = torchsag.read_particles(tmp_path / "p.star")
    batch = back.load(range(6))
    torch.testing.assert_close(batch.spectra, simulated.particles.spectra, atol=0.1, rtol=1e-4)
    torch.testing.assert_close(batch.weights[batch.weight_index[0]], simulated.particles.weights[0])
    torch.testing.assert_close(back.poses.shifts.float(), simulated.poses.shifts, atol=1e-5, rtol=0)
    assert back.classes.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_selection_of_particles_in_memory_is_written_and_read(simulated, tmp_path):
    whole = torchsag.ParticleSet.from_arrays(simulated.particles.volumes, 18.0, tilt_range=(-60, 60))
    torchsag.write_particles(tmp_path / "some.star", whole.select([4, 1]))
    back = torchsag.read_particles(tmp_path / "some.star").load([0, 1])
    torch.testing.assert_close(back.spectra, whole.load([4, 1]).spectra, atol=0.1, rtol=1e-4)


def test_unusable_particles_are_named_or_set_aside(simulated):
    volumes = simulated.particles.volumes.clone()
    volumes[2, 3, 3, 3] = torch.nan
    asked = {"voxel_size": 18.0, "tilt_range": (-60, 60)}
    with pytest.raises(InputError, match="particle particle_000002: expected finite values"):
        torchsag.align(volumes, simulated.reference, **asked)
    found = torchsag.align(volumes, simulated.reference, skip_bad=True, **asked)
    assert [bool(fault) for fault in found.faults] == [False, False, True, False, False, False]
    assert found.faults[2].startswith("particle particle_000002: ")
    assert found.poses.shifts[2].isnan().all()
    assert found.poses.shifts[[0, 1, 3, 4, 5]].isfinite().all()


def test_average_returns_everything_and_leaves_nothing(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = torchsag.average(simulated.particles, reference=simulated.reference, iterations=1, parts=1)
    assert not any(tmp_path.iterdir())
    assert found.average.box == found.half_maps[0].box == (20, 20, 20)
    assert sorted(set(found.halves.tolist())) == [1, 2]
    assert float(rotation_error_deg(found.poses, simulated.poses).median()) < 5
    assert len(found.iterations) == 1
    assert found.verdict.trust in ("yes", "doubt", "no")
    assert found.resolution_angstrom == found.fsc.resolution()


def test_classify_returns_everything_and_leaves_nothing(simulated, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    listed = torchsag.ParticleSet.from_arrays(
        simulated.particles.volumes, 18.0, tilt_range=(-60, 60), poses=simulated.poses
    )
    quick = {"common_iterations": 0, "class_alignments": 0, "repeats": 1, "start": "listed_poses", "wedge_pca": None}
    found = torchsag.classify(listed, classes=2, method="mco_exmx", resolution_angstrom=60.0, **quick)
    assert not any(tmp_path.iterdir())
    assert len(found.labels) == len(found.probabilities) == len(found.poses) == 6
    assert int(found.labels.max()) == len(found.classes)
    assert found.common.box == (20, 20, 20)


def test_simulation_writes_particles_with_their_true_poses(tmp_path):
    made = torchsag.simulate(torchsag.simulate(count=1, box=16, voxel_size=24).reference, 3, out=tmp_path, seed=5)
    back = torchsag.read_particles(tmp_path / "particles.star")
    torch.testing.assert_close(back.load(range(3)).spectra, made.particles.spectra, atol=0.1, rtol=1e-3)
    assert float(rotation_error_deg(back.poses, made.poses).max()) < 1e-2
    assert torchsag.read_map(tmp_path / "reference.mrc").voxel_size == 24


@pytest.mark.parametrize("name", choices("method"))
def test_methods_by_name_are_those_of_the_command_line(name):
    made = component("method", name)
    assert type(made).__module__.startswith("torchsag.")
    assert hasattr(made, "prepare") != hasattr(made, "step")
    if name == "curvature_sag":
        assert made == CurvatureSAGAligner()
    if name == "curvature_sag_local":
        assert made == CurvatureSAGAligner(search=LocalGrid())
