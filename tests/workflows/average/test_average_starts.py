"""What ``torchsag average`` begins from: a map, listed poses, nothing, and particles that hold nothing."""

import math
from dataclasses import replace

import pytest
import torch
from averaging_particles import LOCAL, VOXEL, N, averaged, metrics_of, write_particles

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.fourier import fourier_shell_correlation, low_pass, to_half_spectrum
from torchsag.io import read_map, write_map
from torchsag.particles import DensityMap
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation.structures import GroelPhantom, RibosomePhantom
from torchsag.workflows.average.command import Average


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


@pytest.mark.parametrize("from_map", [True, False])
def test_the_first_iteration_competes_unless_both_halves_met_one_map(settings, data, from_map):
    run = replace(settings, reference=str(data / "reference.mrc"), initial_resolution_angstrom=80.0)
    given = read_map(data / "reference.mrc")
    loop = run._loop(run.read(), None, given if from_map else None)
    state, _ = loop.step(run._begin(loop, given), None)
    assert state.best_iteration == 1  # there is no other
    state, _ = loop.step(state, None)
    first, second = state.rows
    state = replace(state, rows=({**first, "fsc_area_shells": second["fsc_area_shells"] + 1}, second))
    assert state.best_iteration == (2 if from_map else 1)


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


@pytest.mark.slow
def test_reference_free_averaging_finds_the_structure(tmp_path):
    true = write_particles(tmp_path, GroelPhantom(), 40, 0.05)
    method = CurvatureSAGAligner()
    averaged(
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
    summary = metrics_of(None, tmp_path)["summary"]
    assert len(true) == 40
    shell = N * VOXEL
    difference = shell / summary["resolution_0.143_angstrom"] - shell / summary["oracle_resolution_0.143_angstrom"]
    assert difference > -1.0  # within one Fourier shell of the oracle
    assert summary["median_rotation_error_deg"] < 5.0
    assert metrics_of(None, tmp_path)["verdict"]["trust"] == "yes"


@pytest.mark.slow
def test_pure_noise_gives_no_resolution_beyond_the_first_references(tmp_path):
    generator = torch.Generator().manual_seed(2)
    names = [f"noise_{i:02d}.mrc" for i in range(40)]
    for name in names:
        write_map(tmp_path / name, DensityMap(torch.randn(N, N, N, generator=generator), VOXEL))
    (tmp_path / "blind.csv").write_text("volume\n" + "".join(f"{name}\n" for name in names))
    write_map(tmp_path / "reference.mrc", RibosomePhantom().density(N, VOXEL))
    for start in ({"reference": str(tmp_path / "reference.mrc")}, {}):
        outcome = averaged(
            Average(
                particles=str(tmp_path / "blind.csv"),
                out=str(tmp_path / "out"),
                device="cpu",
                iterations=4,
                method=CurvatureSAGAligner(search=RotationalMatching(degree=6, num_candidates=8)),
                **start,
            )
        )
        summary = metrics_of(None, tmp_path)["summary"]
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
