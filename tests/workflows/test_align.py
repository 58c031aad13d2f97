"""The loop of ``torchsag align`` around an aligner that knows nothing."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry, rotvec_to_matrix
from torchsag.io import read_map, read_particles, write_map, write_poses
from torchsag.particles import DensityMap
from torchsag.report.alignment import AlignmentPage
from torchsag.workflows import chunked_alignment
from torchsag.workflows.align import Align
from torchsag.workflows.provenance import Provenance

N = 8
COUNT = 7


@dataclass(frozen=True)
class Pretend:
    """A pose that follows from the particle's values alone."""

    factor: float = 1.0

    def prepare(self, reference, symmetry, device="cpu"):
        def align(particles):
            Pretend.calls.append(particles.names)
            mean = particles.volumes.mean((1, 2, 3)) * self.factor
            nothing = torch.full_like(mean, float("nan"))
            poses = Poses(rotvec_to_matrix(torch.stack([mean, mean, -mean], -1)), torch.stack([mean] * 3, -1))
            covariances = torch.eye(6).expand(len(particles), 6, 6) * 1e-4
            return AlignmentResult(poses, mean, covariances, nothing, mean > 0, nothing)

        return align


Pretend.calls = []


@pytest.fixture
def settings(tmp_path):
    generator = torch.Generator().manual_seed(0)
    data = tmp_path / "data"
    for i in range(COUNT):
        write_map(data / f"vol_{i}.mrc", DensityMap(torch.randn(N, N, N, generator=generator) + 0.1 * i, 5.0))
    write_map(tmp_path / "reference.mrc", DensityMap(torch.randn(N, N, N, generator=generator), 5.0))
    Pretend.calls = []
    return Align(
        particles=str(data),
        reference=str(tmp_path / "reference.mrc"),
        out=str(tmp_path / "out"),
        method=Pretend(),
        tilt_min_deg=-60.0,
        tilt_max_deg=60.0,
        chunk=3,
    )


def run(align):
    return align(Provenance("align", "particles: p\n"))


def poses_of(tmp_path, out="out"):
    return read_particles(tmp_path / out / "poses.star").poses


def test_writes_everything_below_out_and_nothing_else(settings, tmp_path):
    outcome = run(replace(settings, report=AlignmentPage()))
    out = tmp_path / "out"
    expected = {"average.mrc", "config.yaml", "metrics.json", "poses.star", "report.html", "slices.npz"}
    assert {path.name for path in out.iterdir()} == expected
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out", "reference.mrc"}
    assert ("particles aligned", "7") in outcome.rows
    assert read_map(out / "average.mrc").box == (N, N, N)
    assert (out / "config.yaml").read_text() == "particles: p\n"


def test_metrics_hold_versions_seed_and_one_entry_per_particle(settings, tmp_path):
    run(replace(settings, seed=3))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["seed"] == 3
    assert metrics["versions"]["torchsag"]
    assert metrics["versions"]["torch"]
    assert metrics["method"] == "Pretend"
    assert metrics["device"] == "cpu"
    assert metrics["summary"]["aligned"] == COUNT
    assert {"reading", "alignment", "total"} <= set(metrics["stage_cpu_seconds"])
    assert all(len(column) == COUNT for column in metrics["particles"].values())
    assert metrics["particles"]["passes"] == [None] * COUNT
    assert metrics["particles"]["rotation_sigma_deg"] == pytest.approx([np.degrees(0.01 * 3**0.5)] * COUNT, rel=1e-4)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_results_do_not_depend_on_the_chunk(settings, tmp_path, chunk):
    run(settings)
    run(replace(settings, chunk=chunk, out=str(tmp_path / "other")))
    assert torch.equal(poses_of(tmp_path).rotations, poses_of(tmp_path, "other").rotations)
    assert torch.equal(poses_of(tmp_path).shifts, poses_of(tmp_path, "other").shifts)


def test_a_stopped_run_resumes_and_loses_at_most_one_chunk(settings, tmp_path, monkeypatch):
    run(replace(settings, out=str(tmp_path / "whole")))
    real = chunked_alignment.ChunkAligner.__call__

    def dies(self, rows):
        if rows.start >= 3:
            raise KeyboardInterrupt
        return real(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(chunked_alignment.ChunkAligner, "__call__", dies)
        with pytest.raises(KeyboardInterrupt):
            run(settings)
    assert not (tmp_path / "out" / "poses.star").exists()
    Pretend.calls = []
    run(replace(settings, chunk=2))
    assert [len(names) for names in Pretend.calls] == [2, 2]
    assert torch.equal(poses_of(tmp_path).rotations, poses_of(tmp_path, "whole").rotations)
    assert not (tmp_path / "out" / ".checkpoint").exists()


def _stop_after_first_chunk(settings):
    broken = replace(settings, report=_broken_report)
    with pytest.raises(ZeroDivisionError):
        run(broken)


def _broken_report(folder):
    raise ZeroDivisionError


def test_other_settings_do_not_continue_an_unfinished_run(settings):
    _stop_after_first_chunk(settings)
    with pytest.raises(InputError, match=r"unfinished run with other settings \(method.factor: 1.0 then, 2.0 now\)"):
        run(replace(settings, method=Pretend(2.0)))
    run(replace(settings, method=Pretend(2.0), resume=False))


def test_only_particles_that_changed_are_computed_again(settings, tmp_path):
    _stop_after_first_chunk(settings)
    write_map(tmp_path / "data" / "vol_4.mrc", DensityMap(torch.rand(N, N, N), 5.0))
    Pretend.calls = []
    run(settings)
    assert [len(names) for names in Pretend.calls] == [3]


def test_failure_leaves_earlier_results_as_they_were(settings, tmp_path):
    run(settings)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(ZeroDivisionError):
        run(replace(settings, method=Pretend(2.0), report=_broken_report))
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert after == before


def test_unusable_particle_ends_the_run_or_is_set_aside(settings, tmp_path):
    volume = torch.rand(N, N, N)
    volume[0, 0, 0] = torch.nan
    write_map(tmp_path / "data" / "vol_4.mrc", _raw(volume))
    with pytest.raises(InputError, match=r"vol_4\.mrc: expected finite values.*add skip_bad=true"):
        run(settings)
    outcome = run(replace(settings, skip_bad=True))
    assert ("particles set aside", "1") in outcome.rows
    assert [name.rsplit("/")[-1] for name in read_particles(tmp_path / "out" / "poses.star").names] == [
        f"vol_{i}.mrc" for i in range(COUNT) if i != 4
    ]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["summary"]["set_aside"] == 1
    assert "NaN" in metrics["particles"]["fault"][4]
    assert metrics["particles"]["score"][4] is None


def _raw(volume):
    """A map that skips its own check, as a damaged file would."""
    damaged = object.__new__(DensityMap)
    object.__setattr__(damaged, "density", volume)
    object.__setattr__(damaged, "voxel_size", 5.0)
    return damaged


def test_truth_gives_errors_modulo_symmetry(settings, tmp_path):
    run(settings)
    true = poses_of(tmp_path)
    turned = Poses(true.rotations @ Symmetry("C4").rotations[1], true.shifts)
    write_poses(tmp_path / "true.star", read_particles(tmp_path / "out" / "poses.star"), turned)
    for symmetry, error in (("C4", 0.0), ("C1", 90.0)):
        run(replace(settings, truth=str(tmp_path / "true.star"), symmetry=symmetry))
        metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert metrics["particles"]["rotation_error_deg"] == pytest.approx([error] * COUNT, abs=1e-3)
        assert metrics["particles"]["shift_error_angstrom"] == pytest.approx([0] * COUNT, abs=1e-3)


def test_reference_must_fit_the_particles(settings, tmp_path):
    write_map(tmp_path / "small.mrc", DensityMap(torch.rand(6, 6, 6), 5.0))
    with pytest.raises(InputError, match=r"small.mrc: expected the particles' box of \(8, 8, 8\)"):
        run(replace(settings, reference=str(tmp_path / "small.mrc")))
    write_map(tmp_path / "coarse.mrc", DensityMap(torch.rand(N, N, N), 7.0))
    with pytest.raises(InputError, match=r"coarse.mrc: expected the particles' voxel size of 5 angstrom, got 7"):
        run(replace(settings, reference=str(tmp_path / "coarse.mrc")))


@pytest.mark.parametrize("chunk", [0, -1])
def test_chunk_must_be_positive(settings, chunk):
    with pytest.raises(InputError, match="chunk: expected at least 1"):
        replace(settings, chunk=chunk)


def test_true_poses_are_matched_by_name(settings, tmp_path):
    run(settings)
    listed = read_particles(tmp_path / "out" / "poses.star")
    order = list(reversed(range(COUNT)))
    write_poses(tmp_path / "true.star", listed.select(order), listed.poses[torch.tensor(order)])
    run(replace(settings, truth=str(tmp_path / "true.star")))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert max(metrics["particles"]["rotation_error_deg"]) < 1e-3
