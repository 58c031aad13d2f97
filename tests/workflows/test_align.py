"""The loop of ``torchsag align`` around an aligner that knows nothing."""

import errno
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from thread_ranks import on_ranks

from torchsag.alignment.aligner import AlignmentResult
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry, rotvec_to_matrix
from torchsag.io import read_map, read_particles, write_map, write_poses
from torchsag.particles import DensityMap
from torchsag.report.alignment import AlignmentPage
from torchsag.runs import chunked_alignment
from torchsag.runs.provenance import Provenance
from torchsag.runs.sharing import ByCandidate, ByParticle
from torchsag.workflows.align import Align

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
    expected = {
        "average.mrc",
        "config.yaml",
        "metrics.json",
        "poses.star",
        "report.html",
        "set_aside.txt",
        "slices.npz",
        "views",
        "weights",
    }
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
    assert metrics["learnt"] is None  # the method does not say
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
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
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


def test_parts_are_merged_by_the_run_without_a_part(settings, tmp_path):
    run(replace(settings, out=str(tmp_path / "one")))
    for number in (3, 1):
        outcome = run(replace(settings, part=f"{number}/3"))
        assert "without part=" in outcome.notes[0]
    assert not (tmp_path / "out" / "poses.star").exists()
    Pretend.calls = []
    run(settings)
    assert sum(map(len, Pretend.calls)) == len(range(COUNT // 3, 2 * COUNT // 3))  # what part 2 would have done
    assert torch.equal(poses_of(tmp_path).rotations, poses_of(tmp_path, "one").rotations)
    assert read_map(tmp_path / "out" / "average.mrc").box == (N, N, N)


def test_a_part_does_not_start_over(settings):
    with pytest.raises(InputError, match="expected resume=true"):
        replace(settings, part="1/2", resume=False)


@pytest.mark.parametrize("sharing", [ByParticle(), ByCandidate()])
def test_two_ranks_write_what_one_writes(settings, tmp_path, sharing):
    run(replace(settings, out=str(tmp_path / "one")))
    if isinstance(sharing, ByCandidate):
        with pytest.raises(InputError, match="expected a method that refines each candidate by itself"):
            run(replace(settings, sharing=sharing))
        return
    outcomes = on_ranks(2, lambda workers: run(replace(settings, parallel=workers, sharing=sharing)))
    assert outcomes[0].rows
    assert not outcomes[1].rows
    assert torch.equal(poses_of(tmp_path).rotations, poses_of(tmp_path, "one").rotations)
    one, two = (read_map(tmp_path / name / "average.mrc").density for name in ("one", "out"))
    torch.testing.assert_close(one, two, atol=1e-5 * float(one.abs().max()), rtol=0)


@dataclass(frozen=True)
class Fragile(Pretend):
    """Fails on one particle, and finds no number for another."""

    def prepare(self, reference, symmetry, device="cpu"):
        align = super().prepare(reference, symmetry, device)

        def fragile(particles):
            if any(name.endswith("vol_4.mrc") for name in particles.names):
                raise ZeroDivisionError("nothing there")
            result = align(particles)
            lost = torch.tensor([name.endswith("vol_1.mrc") for name in particles.names])
            return replace(
                result, poses=Poses(result.poses.rotations, result.poses.shifts.where(~lost[:, None], np.nan))
            )

        return fragile


def test_a_particle_that_fails_is_set_aside_and_the_rest_goes_on(settings, tmp_path, caplog):
    with pytest.raises(ZeroDivisionError):
        run(replace(settings, method=Fragile()))
    outcome = run(replace(settings, method=Fragile(), skip_bad=True))
    assert ("particles set aside", "2") in outcome.rows
    faults = json.loads((tmp_path / "out" / "metrics.json").read_text())["particles"]["fault"]
    assert "ZeroDivisionError: nothing there" in faults[4]
    assert "not finite" in faults[1]
    assert [bool(fault) for fault in faults].count(True) == 2
    assert "set aside: particle" in caplog.text
    assert len(read_particles(tmp_path / "out" / "poses.star").names) == COUNT - 2


def test_a_full_disk_ends_the_run_and_the_same_command_carries_on(settings, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        real, writes = np.savez, []

        def fills_up(file, **arrays):
            writes.append(file)
            if len(writes) > 1:
                file.write(b"half")
                raise OSError(errno.ENOSPC, "No space left on device")
            real(file, **arrays)

        patch.setattr(np, "savez", fills_up)
        with pytest.raises(InputError, match=r"No space left on device.*repeat the command"):
            run(settings)
    left = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left == {"settings.json", "chunk-000000000-000000003.npz"}
    Pretend.calls = []
    run(settings)
    assert sum(map(len, Pretend.calls)) == COUNT - 3
