"""``torchsag average`` on a few small simulated particles."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import mrcfile
import pytest
import torch
from averaging_particles import N, averaged, metrics_of

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging.halves import ListedHalves
from torchsag.errors import InputError
from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.geometry import Symmetry
from torchsag.io import read_map, read_particles, write_poses
from torchsag.particles import ParticleSet
from torchsag.report.average import AveragePage
from torchsag.workflows.average import half_alignment
from torchsag.workflows.average.controls import NoiseOnly, OmittedRegion
from torchsag.workflows.average.state import unaligned


def test_a_run_leaves_everything_it_promises_and_the_poses_are_better(settings, tmp_path):
    truth_map = str(Path(settings.truth).with_name("reference.mrc"))
    outcome = averaged(replace(settings, report=AveragePage(), truth_map=truth_map))
    out = tmp_path / "out"
    expected = {
        "half1.mrc", "half2.mrc", "average.mrc", "mask.mrc", "local_resolution.mrc", "locally_filtered.mrc",
        "fsc.csv", "fsc.png", "fsc.xml", "poses.star", "metrics.json", "report.html", "iterations.csv", "set_aside.txt",
        "slices.npz", "config.yaml", "iterations", "views",
    }  # fmt: skip
    assert {path.name for path in out.iterdir()} - {"weights"} == expected
    for iteration in (1, 2):
        names = {path.name for path in (out / "iterations" / f"{iteration:03d}").iterdir()}
        assert names - {"weights"} == {"half1.mrc", "half2.mrc", "fsc.csv", "poses.star"}
    metrics = metrics_of(settings, tmp_path)
    assert metrics["summary"]["iterations"] == 2
    assert metrics["iterations"][-1]["median_rotation_error_deg"] < 2.0
    assert sorted(set(metrics["particles"]["half"])) == [1, 2]
    with (out / "fsc.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == N // 2 + 1
    assert {"oracle", "truth", "oracle_truth"} < set(table[0])
    assert metrics["summary"]["truth_correlation"] > 0.9
    assert "Local resolution" in (out / "report.html").read_text()
    assert any("resolution" in row[0] for row in outcome.rows)


def test_the_average_reproduces_the_structure(settings, data, tmp_path):
    averaged(settings)
    average, truth = (
        to_half_spectrum(read_map(p).density) for p in (tmp_path / "out/average.mrc", data / "reference.mrc")
    )
    assert (fourier_shell_correlation(average, truth, (N, N, N))[1:7] > 0.9).all()


def test_written_poses_make_the_written_half_maps(settings, data, tmp_path):
    settings = replace(settings, cache_gigabytes=0.0)  # or the particles would be rounded
    averaged(settings)
    out = tmp_path / "out"
    written = read_particles(str(out / "poses.star"))
    assert written.halves is not None
    again = replace(settings, particles=str(out / "poses.star"), halves=ListedHalves(), out=str(tmp_path / "again"))
    loop = again._loop(written, None)
    maps = loop.average(unaligned(written.poses.to(torch.float32)), loop.symmetry)
    for half, made in enumerate(maps, start=1):
        torch.testing.assert_close(read_map(out / f"half{half}.mrc").density, made.density, atol=1e-3, rtol=1e-2)


def test_a_killed_run_resumes_in_the_iteration_it_was_in(settings, tmp_path, monkeypatch):
    averaged(replace(settings, out=str(tmp_path / "whole")))
    aligned = []
    real = half_alignment.align_in_chunks

    def interrupted(aligner, *rest):
        aligned.append(len(aligner.particles))
        if len(aligned) == 4:  # the second half of the second iteration
            raise KeyboardInterrupt
        return real(aligner, *rest)

    monkeypatch.setattr(half_alignment, "align_in_chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        averaged(settings)
    assert not (tmp_path / "out" / "average.mrc").exists()
    seen = []
    monkeypatch.setattr(half_alignment, "align_in_chunks", lambda *a: seen.append(a[3].folder.name) or real(*a))
    averaged(settings)
    assert seen == ["002-half1", "002-half2"]
    for name in ("half1.mrc", "average.mrc"):
        first, second = (read_map(tmp_path / run / name).density for run in ("whole", "out"))
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
    assert not (tmp_path / "out" / ".checkpoint").exists()


def test_other_settings_do_not_continue_an_unfinished_run(settings, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(half_alignment, "align_in_chunks", killed)
    with pytest.raises(KeyboardInterrupt):
        averaged(settings)
    with pytest.raises(InputError, match="unfinished run with other settings"):
        averaged(replace(settings, symmetry="C7"))


def test_halves_never_share_a_reference(settings, monkeypatch):
    """A change of half 2's particles must not change half 1's poses."""
    references = []
    real = CurvatureSAGAligner.prepare

    def prepare(self, reference, symmetry, device="cpu"):
        references.append(reference.density.clone())
        return real(self, reference, symmetry, device)

    monkeypatch.setattr(CurvatureSAGAligner, "prepare", prepare)
    settings = replace(settings, parts=2)
    loop = settings._loop(settings.read(), None)
    state = settings._begin(loop, None)
    noise = torch.randn(state.references[1].shape, generator=torch.Generator().manual_seed(3))
    spoiled = replace(state, references=torch.stack([state.references[0], noise]))
    first, _ = loop.step(state, None)
    second, _ = loop.step(spoiled, None)
    parts = loop.parts
    for part in range(parts):
        assert torch.equal(references[part], references[2 * parts + part])
        assert not torch.equal(references[parts + part], references[3 * parts + part])
    members = loop.halves == 1
    assert torch.equal(first.result.poses.rotations[members], second.result.poses.rotations[members])
    torch.testing.assert_close(first.maps[0], second.maps[0])


def test_unusable_particles_are_set_aside_when_asked(settings, data, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    for path in data.glob("*.mrc"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "blind.csv").write_text((data / "blind.csv").read_text())
    damaged = read_map(data / "particle_000003.mrc").density.clone()
    near = read_particles(str(data / "near.star")).poses
    write_poses(folder / "near.star", read_particles(str(folder / "blind.csv")), near)
    damaged[0, 0, 0] = float("nan")
    with mrcfile.open(folder / "particle_000003.mrc", "r+") as file:
        file.set_data(damaged.numpy())
    run = replace(settings, particles=str(folder / "near.star"), truth=None, iterations=1)
    with pytest.raises(InputError, match="skip_bad=true"):
        averaged(run)
    averaged(replace(run, skip_bad=True))
    metrics = metrics_of(settings, tmp_path)
    assert metrics["summary"]["set_aside"] == 1
    assert "NaN" in metrics["particles"]["fault"][3]
    assert len(read_particles(str(tmp_path / "out" / "poses.star"))) == 11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iterations": 0}, "iterations: expected at least 1"),
        ({"initial_resolution_angstrom": 0.0}, "initial_resolution_angstrom"),
        ({"symmetry": "Q"}, "symmetry: expected"),
    ],
)
def test_impossible_settings_are_refused(settings, change, message):
    with pytest.raises(InputError, match=message):
        replace(settings, **change)


def test_each_half_is_polished_by_itself_and_the_result_judged(settings, tmp_path):
    seen = []

    class Nudge:
        def __call__(self, particles, poses, symmetry, trust):
            seen.append((len(particles), symmetry.name, float(trust.max())))
            return poses.retract(torch.tensor([0.0, 0.0, 0.2, 0.0, 0.0, 0.0]).expand(len(poses), 6))

    averaged(replace(settings, iterations=1, polish=Nudge()))
    assert [entry[:2] for entry in seen] == [(6, "D7"), (6, "D7")]
    metrics = metrics_of(settings, tmp_path)
    before = metrics["iterations"][-1]["median_rotation_error_deg"]
    assert metrics["summary"]["median_rotation_error_deg"] > before + 1


def test_a_control_changes_the_input_and_judges_the_outcome(settings, tmp_path):
    outcome = averaged(replace(settings, iterations=1, control=NoiseOnly(), truth=None))
    recorded = metrics_of(settings, tmp_path)["verdict"]["findings"]
    assert "control_noise" in outcome.verdict.codes
    assert any("control with pure noise" in finding["text"] for finding in recorded)
    with pytest.raises(InputError, match="expected reference="):
        averaged(replace(settings, control=OmittedRegion()))


@pytest.mark.slow
def test_what_is_kept_of_particles_changes_no_result_and_goes_with_the_run(settings, tmp_path):
    """Poses differ by what rounding does, a few of them by a different number of steps; nothing is left behind."""
    found = []
    for name, size in (("with", 1.0), ("without", 0.0)):
        run = replace(settings, out=str(tmp_path / name), cache_gigabytes=size, parts=3)
        averaged(run)
        found.append(read_particles(str(tmp_path / name / "poses.star")).poses)
        assert not (tmp_path / name / ".checkpoint").exists()
    apart = Symmetry("D7").distance(found[0].rotations, found[1].rotations)
    assert float(apart.rad2deg().median()) < 0.01
    assert float(apart.rad2deg().max()) < 1.0
    assert float((found[0].shifts - found[1].shifts).norm(dim=-1).max()) < 0.1


def test_particles_are_read_for_poses_and_sums_once_a_run(settings, monkeypatch):
    reads = []
    plain = ParticleSet._by_way_of

    def counted(self, store, indices):
        kept = plain(self, store, indices)
        return replace(kept, read=lambda places: (reads.extend(indices[k] for k in places), kept.read(places))[1])

    monkeypatch.setattr(ParticleSet, "_by_way_of", counted)
    averaged(replace(settings, truth=None))
    assert sorted(reads) == list(range(12))


@pytest.mark.parametrize("size", [-1.0, math.nan, math.inf])
def test_a_size_that_is_none_is_refused(settings, size):
    with pytest.raises(InputError, match="cache_gigabytes"):
        replace(settings, cache_gigabytes=size)
