"""``torchsag average`` on a few small simulated particles."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import mrcfile
import pytest
import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging.frames import bring_back
from torchsag.averaging.halves import ListedHalves
from torchsag.averaging.mask import SphericalMask
from torchsag.averaging.starts import ListedPoses
from torchsag.errors import InputError
from torchsag.fourier import fourier_shell_correlation, low_pass, to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations, rotation_distance
from torchsag.io import read_map, read_particles, write_map, write_poses
from torchsag.particles import DensityMap, ParticleSet
from torchsag.report.average import AveragePage
from torchsag.runs.provenance import Provenance
from torchsag.runs.truth import true_poses
from torchsag.search.local_grid import LocalGrid
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import GroelPhantom, RibosomePhantom
from torchsag.workflows.average import half_alignment
from torchsag.workflows.average.command import Average
from torchsag.workflows.average.controls import NoiseOnly, OmittedRegion
from torchsag.workflows.average.half_frames import composed
from torchsag.workflows.average.state import unaligned

N, VOXEL = 24, 14.0
LOCAL = CurvatureSAGAligner(search=LocalGrid(cone_deg=10.0, max_shift=3.0), keep=(), passes=(2.0,))


def _write(folder, structure, count, snr, seed=0):
    """Particles on disk; the true poses as a list, and a list without poses."""
    reference = structure.density(N, VOXEL)
    particles, true = simulate_particles(reference, count, snr, max_shift=1.0, seed=seed)
    for name, volume in zip(particles.names, particles.volumes, strict=True):
        write_map(folder / f"{name}.mrc", DensityMap(volume, VOXEL))
    rows = "".join(f"{name}.mrc,-60,60\n" for name in particles.names)
    (folder / "blind.csv").write_text("volume,tilt_min_deg,tilt_max_deg\n" + rows)
    write_poses(folder / "true.star", read_particles(str(folder / "blind.csv")), true)
    write_map(folder / "reference.mrc", reference)
    return true


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    true = _write(folder, GroelPhantom(), 12, 0.3)
    # Poses some degrees off, for a local search to mend.
    generator = torch.Generator().manual_seed(1)
    off = torch.cat([0.05 * torch.randn(12, 3, generator=generator), 0.5 * torch.randn(12, 3, generator=generator)], -1)
    write_poses(folder / "near.star", read_particles(str(folder / "blind.csv")), true.retract(off))
    return folder


@pytest.fixture
def settings(data, tmp_path):
    return Average(
        particles=str(data / "near.star"),
        out=str(tmp_path / "out"),
        method=LOCAL,
        start=ListedPoses(),
        symmetry="D7",
        mask=SphericalMask(diameter_angstrom=250.0, edge_angstrom=40.0),
        truth=str(data / "true.star"),
        iterations=2,
        parts=1,
        chunk=4,
        device="cpu",
    )


def _run(settings):
    return settings(Provenance("average", "note: a test\n"))


def _metrics(settings, tmp_path):
    return json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_a_run_leaves_everything_it_promises_and_the_poses_are_better(settings, tmp_path):
    truth_map = str(Path(settings.truth).with_name("reference.mrc"))
    outcome = _run(replace(settings, report=AveragePage(), truth_map=truth_map))
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
    metrics = _metrics(settings, tmp_path)
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
    _run(settings)
    average, truth = (
        to_half_spectrum(read_map(p).density) for p in (tmp_path / "out/average.mrc", data / "reference.mrc")
    )
    assert (fourier_shell_correlation(average, truth, (N, N, N))[1:7] > 0.9).all()


def test_written_poses_make_the_written_half_maps(settings, data, tmp_path):
    settings = replace(settings, cache_gigabytes=0.0)  # or the particles would be rounded
    _run(settings)
    out = tmp_path / "out"
    written = read_particles(str(out / "poses.star"))
    assert written.halves is not None
    again = replace(settings, particles=str(out / "poses.star"), halves=ListedHalves(), out=str(tmp_path / "again"))
    loop = again._loop(written, None)
    maps = loop.average(unaligned(written.poses.to(torch.float32)), loop.symmetry)
    for half, made in enumerate(maps, start=1):
        torch.testing.assert_close(read_map(out / f"half{half}.mrc").density, made.density, atol=1e-3, rtol=1e-2)


def test_a_killed_run_resumes_in_the_iteration_it_was_in(settings, tmp_path, monkeypatch):
    _run(replace(settings, out=str(tmp_path / "whole")))
    aligned = []
    real = half_alignment.align_in_chunks

    def interrupted(aligner, *rest):
        aligned.append(len(aligner.particles))
        if len(aligned) == 4:  # the second half of the second iteration
            raise KeyboardInterrupt
        return real(aligner, *rest)

    monkeypatch.setattr(half_alignment, "align_in_chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _run(settings)
    assert not (tmp_path / "out" / "average.mrc").exists()
    seen = []
    monkeypatch.setattr(half_alignment, "align_in_chunks", lambda *a: seen.append(a[3].folder.name) or real(*a))
    _run(settings)
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
        _run(settings)
    with pytest.raises(InputError, match="unfinished run with other settings"):
        _run(replace(settings, symmetry="C7"))


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


def test_a_reference_starts_the_run_low_passed(settings, data):
    run = replace(settings, reference=str(data / "reference.mrc"), initial_resolution_angstrom=80.0)
    loop = run._loop(run.read(), None)
    given = read_map(data / "reference.mrc")
    state = run._begin(loop, given)
    smooth = low_pass(given.density, 80.0, VOXEL)
    for half in (0, 1):
        for part in range(loop.parts):
            curve = fourier_shell_correlation(
                to_half_spectrum(state.references[half, part]), to_half_spectrum(smooth), (N, N, N)
            )
            assert (curve[1:4] > 0.99).all()
            assert float(to_half_spectrum(state.references[half, part])[0, 0, 8].abs()) < 1e-3 * float(smooth.sum())


def test_the_map_a_run_began_from_stays_in_its_references_and_nothing_of_it_beyond_the_low_pass(settings, data):
    run = replace(settings, reference=str(data / "reference.mrc"), initial_resolution_angstrom=80.0)
    given = read_map(data / "reference.mrc")
    kept = run._loop(run.read(), None, given)
    forgotten = run._loop(run.read(), None)
    begun = run._begin(kept, given)
    with_map, without = (to_half_spectrum(loop.step(begun, None)[0].references) for loop in (kept, forgotten))
    truth = to_half_spectrum(given.density)

    def likeness(spectrum, shell):
        return float(fourier_shell_correlation(spectrum, truth.expand_as(spectrum), (N, N, N))[..., shell].mean())

    assert likeness(with_map, 2) > likeness(without, 2)
    # Beyond the low-pass a reference is an average by itself, of whatever weight.
    beyond = fourier_shell_correlation(with_map, without, (N, N, N))[..., 7]
    assert bool((beyond > 0.95).all()) or bool((with_map[..., 0, 0, 7].abs() < 1e-6).all())


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
        _run(run)
    _run(replace(run, skip_bad=True))
    metrics = _metrics(settings, tmp_path)
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


@pytest.mark.slow
def test_reference_free_averaging_finds_the_structure(tmp_path):
    true = _write(tmp_path, GroelPhantom(), 40, 0.05)
    method = CurvatureSAGAligner()
    _run(
        Average(
            particles=str(tmp_path / "blind.csv"),
            out=str(tmp_path / "out"),
            method=method,
            symmetry="D7",
            truth=str(tmp_path / "true.star"),
            device="cpu",
            iterations=8,
        )
    )
    summary = _metrics(None, tmp_path)["summary"]
    assert len(true) == 40
    shell = N * VOXEL
    difference = shell / summary["resolution_0.143_angstrom"] - shell / summary["oracle_resolution_0.143_angstrom"]
    assert difference > -1.0  # within one Fourier shell of the oracle
    assert summary["median_rotation_error_deg"] < 5.0
    assert _metrics(None, tmp_path)["verdict"]["trust"] == "yes"


@pytest.mark.slow
def test_pure_noise_gives_no_resolution_beyond_the_first_references(tmp_path):
    generator = torch.Generator().manual_seed(2)
    names = [f"noise_{i:02d}.mrc" for i in range(40)]
    for name in names:
        write_map(tmp_path / name, DensityMap(torch.randn(N, N, N, generator=generator), VOXEL))
    (tmp_path / "blind.csv").write_text("volume\n" + "".join(f"{name}\n" for name in names))
    write_map(tmp_path / "reference.mrc", RibosomePhantom().density(N, VOXEL))
    for start in ({"reference": str(tmp_path / "reference.mrc")}, {}):
        outcome = _run(
            Average(
                particles=str(tmp_path / "blind.csv"),
                out=str(tmp_path / "out"),
                device="cpu",
                iterations=4,
                method=CurvatureSAGAligner(search=RotationalMatching(degree=6, num_candidates=8)),
                **start,
            )
        )
        summary = _metrics(None, tmp_path)["summary"]
        assert outcome.verdict.trust == "no"
        assert outcome.verdict.codes >= {"noise_alone", "no_better_than_chance"}
        resolution = summary["resolution_0.143_angstrom"]
        assert resolution is None or resolution > 0.9 * 60.0
        assert not math.isnan(resolution or 0.0)


def test_without_a_reference_the_halves_begin_apart_and_without_symmetry(data, tmp_path):
    run = Average(particles=str(data / "blind.csv"), out=str(tmp_path / "out"), method=LOCAL, device="cpu")
    loop = run._loop(run.read(), None)
    assert not loop.common_frame
    state = run._begin(loop, None)
    assert not state.symmetric
    assert float(state.maps[0].std()) > 0
    assert not torch.allclose(state.maps[0], state.maps[1])


def test_each_half_is_polished_by_itself_and_the_result_judged(settings, tmp_path):
    seen = []

    class Nudge:
        def __call__(self, particles, poses, symmetry, trust):
            seen.append((len(particles), symmetry.name, float(trust.max())))
            return poses.retract(torch.tensor([0.0, 0.0, 0.2, 0.0, 0.0, 0.0]).expand(len(poses), 6))

    _run(replace(settings, iterations=1, polish=Nudge()))
    assert [entry[:2] for entry in seen] == [(6, "D7"), (6, "D7")]
    metrics = _metrics(settings, tmp_path)
    before = metrics["iterations"][-1]["median_rotation_error_deg"]
    assert metrics["summary"]["median_rotation_error_deg"] > before + 1


def test_a_control_changes_the_input_and_judges_the_outcome(settings, tmp_path):
    outcome = _run(replace(settings, iterations=1, control=NoiseOnly(), truth=None))
    recorded = _metrics(settings, tmp_path)["verdict"]["findings"]
    assert "control_noise" in outcome.verdict.codes
    assert any("control with pure noise" in finding["text"] for finding in recorded)
    with pytest.raises(InputError, match="expected reference="):
        _run(replace(settings, control=OmittedRegion()))


def test_half_two_is_brought_onto_half_one_with_its_poses(settings, data):
    """What a run without a common frame does at the end of each iteration."""
    run = replace(settings, symmetry="C1", method=CurvatureSAGAligner())
    loop = replace(run._loop(run.read(), None), common_frame=False)
    structure = RibosomePhantom().density(N, VOXEL)
    placement = Poses(random_rotations(1, torch.Generator().manual_seed(0)), torch.tensor([[0.5, -0.4, 0.3]]))
    elsewhere = bring_back(structure, placement.inverse())
    result = unaligned(read_particles(str(data / "near.star")).poses.to(torch.float32))
    found = loop._placement((structure, elsewhere), torch.ones(N // 2 + 1), Symmetry("C1"))
    after, maps = composed(result, loop.halves == 2, found), (structure, bring_back(elsewhere, found))
    first, second = (to_half_spectrum(m.density) for m in maps)
    assert (fourier_shell_correlation(first, second, (N, N, N))[1:7] > 0.97).all()
    change = result.poses.inverse().compose(after.poses)
    ones, twos = (change.rotations[loop.halves == half] for half in (1, 2))
    torch.testing.assert_close(ones, torch.eye(3).expand_as(ones), atol=1e-5, rtol=0)
    assert float(rotation_distance(twos, placement.rotations.expand_as(twos)).max()) < 0.05


def test_a_placement_gone_astray_is_not_taken(settings):
    class Astray:
        def prepare(self, reference, symmetry, device="cpu"):
            rotation = random_rotations(1, torch.Generator().manual_seed(5))
            return lambda particles: unaligned(Poses(rotation, torch.zeros(1, 3)))

    run = replace(settings, symmetry="C1", method=Astray())
    loop = replace(run._loop(run.read(), None), common_frame=False)
    structure = RibosomePhantom().density(N, VOXEL)
    found = loop._placement((structure, structure), torch.ones(N // 2 + 1), Symmetry("C1"))
    torch.testing.assert_close(found.rotations[0], torch.eye(3))


@pytest.mark.slow
def test_symmetry_waits_until_the_halves_agree_on_its_axes(settings, data):
    """Imposed on an average that shows its axes, not on one of noise."""
    run = replace(settings, method=CurvatureSAGAligner(), symmetry_from=1)
    particles = run.read()
    result = unaligned(read_particles(str(data / "near.star")).poses.to(torch.float32))
    loops = [
        replace(run._loop(seen, None), common_frame=False) for seen in (particles, NoiseOnly().particles(particles, 0))
    ]
    state = replace(run._begin(loops[0], None), symmetric=False)
    (symmetric, made), (too_early, left) = (loop._made(state, result) for loop in loops)
    assert symmetric
    assert loops[0].shows_something(made.fsc)
    assert not too_early
    assert torch.equal(left.maps[0].density, loops[1].average(result, Symmetry("C1"))[0].density)


@pytest.mark.slow
def test_a_run_that_could_not_impose_its_symmetry_says_so(data, tmp_path):
    noise = Average(
        particles=str(data / "blind.csv"), out=str(tmp_path / "out"), method=CurvatureSAGAligner(), symmetry="D7",
        symmetry_from=1, iterations=1, parts=1, control=NoiseOnly(), device="cpu",
    )  # fmt: skip
    outcome = _run(noise)
    assert "symmetry_not_imposed" in outcome.verdict.codes
    without = _run(replace(noise, symmetry="C1", out=f"{noise.out}1"))
    assert "symmetry_not_imposed" not in without.verdict.codes


def test_errors_of_a_symmetric_particle_averaged_without_symmetry_are_judged_modulo_its_own(settings):
    run = replace(settings, symmetry="C1", truth_symmetry="D7")
    particles = run.read()
    truth = true_poses(run.truth, particles)
    mates = Symmetry("D7").rotations.float()[torch.arange(12)]
    judged = run._loop(particles, truth).judge(Poses(truth.rotations @ mates, truth.shifts))
    assert judged["median_rotation_error_deg"] < 0.1
    asymmetric = replace(run, truth_symmetry=None)._loop(particles, truth)
    assert asymmetric.judge(Poses(truth.rotations @ mates, truth.shifts))["median_rotation_error_deg"] > 20


@pytest.mark.slow
def test_what_is_kept_of_particles_changes_no_result_and_goes_with_the_run(settings, tmp_path):
    """Poses differ by what rounding does, a few of them by a different number of steps; nothing is left behind."""
    found = []
    for name, size in (("with", 1.0), ("without", 0.0)):
        run = replace(settings, out=str(tmp_path / name), cache_gigabytes=size, parts=3)
        _run(run)
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
    _run(replace(settings, truth=None))
    assert sorted(reads) == list(range(12))


@pytest.mark.parametrize("size", [-1.0, math.nan, math.inf])
def test_a_size_that_is_none_is_refused(settings, size):
    with pytest.raises(InputError, match="cache_gigabytes"):
        replace(settings, cache_gigabytes=size)
