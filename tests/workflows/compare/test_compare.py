"""The comparison's files say what the methods did; simulated and listed particles."""

import csv
from dataclasses import dataclass

import pytest
import torch

from torchsag.alignment.aligner import Aligner, AlignmentResult
from torchsag.errors import InputError
from torchsag.particles import Transfer
from torchsag.report.comparison import ComparisonPage
from torchsag.runs.provenance import Provenance
from torchsag.simulation.fast import FastPipeline
from torchsag.simulation.structures import RibosomePhantom
from torchsag.workflows.compare.command import Compare
from torchsag.workflows.compare.trials import ListedTrial, SimulatedTrials, Trials
from torchsag.workflows.simulate.command import Simulate

SMALL = {"n": 6, "box": 24, "voxel_size_angstrom": 16.0, "snr": (1.0, 0.1)}


@dataclass(frozen=True)
class Disturbed:
    """Knows the truth of the simulation and misses it by a fixed turn about x."""

    angle: float

    def prepare(self, reference, symmetry, device: torch.device | str = "cpu"):
        trials = SimulatedTrials(RibosomePhantom(), **SMALL)
        truth = next(iter(trials.make(0, torch.device("cpu")))).truth
        assert truth is not None

        def align(particles):
            count = len(particles)
            nan = torch.full((count,), torch.nan)
            poses = truth[:count].retract(torch.tensor([self.angle, 0, 0, 0.1, 0, 0]).expand(count, 6))
            done = torch.ones(count, dtype=torch.bool)
            return AlignmentResult(poses, nan, torch.full((count, 6, 6), torch.nan), nan, done, torch.ones(count))

        return align


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compared")
    methods: dict[str, Aligner] = {"near": Disturbed(0.02), "far": Disturbed(0.3)}
    trials = SimulatedTrials(RibosomePhantom(), **SMALL)
    outcome = Compare(methods, trials, str(out), device="cpu", report=ComparisonPage())(Provenance("test", "a: 1\n"))
    return out, outcome


def test_summary_and_errors(compared):
    out, outcome = compared
    summary = rows(out / "summary.csv")
    assert [(row["trial"], row["method"]) for row in summary] == [
        (trial, method) for trial in ("SNR 1", "SNR 0.1") for method in ("near", "far")
    ]
    for row, angle in zip(summary, (1.146, 17.19, 1.146, 17.19), strict=True):
        assert float(row["median_rotation_error_deg"]) == pytest.approx(angle, rel=1e-2)
        assert float(row["median_shift_error_angstrom"]) == pytest.approx(1.6, rel=1e-3)
        assert int(row["within_10_deg"]) == (6 if angle < 10 else 0)
    assert float(summary[0]["mean_ccc"]) > float(summary[1]["mean_ccc"])
    # Ten times the noise variance, sqrt(10) times the bound.
    bounds = [float(summary[i]["bound_rotation_deg"]) for i in (0, 2)]
    assert bounds[1] / bounds[0] == pytest.approx(10**0.5, rel=0.15)
    with_reference = [float(summary[i]["bound_with_reference_rotation_deg"]) for i in (0, 2)]
    assert with_reference == pytest.approx(bounds, rel=0.02)  # the reference is exact
    assert len(outcome.rows) == 4


def test_averages_at_true_and_at_found_poses(compared):
    out, _ = compared
    summary, curves = rows(out / "summary.csv"), rows(out / "fsc.csv")
    assert list(dict.fromkeys(row["method"] for row in curves)) == ["true poses", "near", "far"]
    mean = {
        name: sum(float(row["fsc"]) for row in curves if row["method"] == name and row["snr"] == "1.0") for name in
        ("true poses", "near", "far")
    }  # fmt: skip
    assert mean["true poses"] > mean["near"] > mean["far"]
    assert float(summary[0]["oracle_fsc_0143_angstrom"]) < float(summary[1]["fsc_0143_angstrom"])


def test_convergence_ends_at_the_result(compared):
    out, _ = compared
    steps, summary = rows(out / "convergence.csv"), rows(out / "summary.csv")
    assert [(step["trial"], step["method"]) for step in steps] == [(row["trial"], row["method"]) for row in summary]
    for step, row in zip(steps, summary, strict=True):
        assert float(step["evaluations"]) == 1
        assert float(step["mean_ccc"]) == pytest.approx(float(row["mean_ccc"]), rel=1e-5)


def test_every_particle_has_a_row_and_every_pair_a_test(compared):
    out, _ = compared
    assert len(rows(out / "particles.csv")) == 2 * 2 * 6
    tests = rows(out / "paired_tests.csv")
    assert len(tests) == 2 * 3
    better = next(test for test in tests if test["quantity"] == "ccc")
    assert float(better["mean_difference"]) > 0
    assert float(better["rank_biserial"]) == 1
    assert "Paired tests" in (out / "report.html").read_text()
    assert (out / "config.yaml").read_text() == "a: 1\n"


def test_correlation_at_the_truth_is_that_of_the_noise(compared):
    """``sqrt(S / (S + N))`` over what was measured, a little more for a pose error of one degree."""
    out, _ = compared
    noisy, noisier = (float(rows(out / "summary.csv")[i]["mean_ccc"]) for i in (0, 2))
    odds = [value**2 / (1 - value**2) for value in (noisy, noisier)]
    assert odds[0] / odds[1] == pytest.approx(10, rel=0.2)


def test_listed_particles(tmp_path):
    structure = RibosomePhantom()
    simulate = Simulate(
        structure=structure, pipeline=FastPipeline(snr=1.0), out=str(tmp_path / "data"), n=3, box=24,
        voxel_size_angstrom=16.0, device="cpu",
    )  # fmt: skip
    simulate(Provenance("test"))
    trials = ListedTrial(
        particles=str(tmp_path / "data/particles.star"),
        reference=str(tmp_path / "data/reference.mrc"),
        truth_listed=True,
        weighting=Transfer(),
    )
    assert isinstance(trials, Trials)
    (trial,) = trials.make(0, torch.device("cpu"))
    assert trial.truth is not None
    assert len(trial.particles) == 3
    compare = Compare({"near": Disturbed(0.02)}, trials, str(tmp_path / "out"), device="cpu")
    compare(Provenance("test"))
    assert rows(tmp_path / "out/paired_tests.csv") == []


def test_low_passed_reference():
    exact = next(iter(SimulatedTrials(RibosomePhantom(), **SMALL).make(0, torch.device("cpu"))))
    coarse = SimulatedTrials(RibosomePhantom(), **SMALL, reference_angstrom=80.0)
    trial = next(iter(coarse.make(0, torch.device("cpu"))))
    assert trial.structure is not None
    assert torch.equal(trial.structure.density, exact.reference.density)
    assert float(trial.reference.density.std()) < float(exact.reference.density.std())
    assert torch.equal(trial.particles.spectra, exact.particles.spectra)


@pytest.mark.parametrize(("field", "value"), [("snr", ()), ("snr", (0.0,)), ("n", 1), ("reference_angstrom", 0.0)])
def test_trials_are_checked(field, value):
    with pytest.raises(InputError, match=field):
        SimulatedTrials(RibosomePhantom(), **{field: value})


def test_methods_are_checked():
    trials = SimulatedTrials(RibosomePhantom())
    with pytest.raises(InputError, match="methods: expected at least one"):
        Compare({}, trials, "out")
    with pytest.raises(InputError, match="symmetry"):
        Compare({"near": Disturbed(0.0)}, trials, "out", symmetry="Q")


def test_an_interrupted_comparison_carries_on_by_trial_and_method(tmp_path, monkeypatch):
    trials = SimulatedTrials(RibosomePhantom(), **SMALL)
    methods: dict[str, Aligner] = {"near": Disturbed(0.1), "far": Disturbed(0.3)}
    whole = Compare(methods, trials, str(tmp_path / "whole"))
    whole(Provenance("compare"))
    aligned = []
    align = Compare._align

    def until_the_third(self, name, trial, device):
        if len(aligned) == 3:
            raise KeyboardInterrupt
        aligned.append(name)
        return align(self, name, trial, device)

    monkeypatch.setattr(Compare, "_align", until_the_third)
    again = Compare(methods, trials, str(tmp_path / "again"))
    with pytest.raises(KeyboardInterrupt):
        again(Provenance("compare"))
    aligned.clear()
    again(Provenance("compare"))
    assert aligned == ["far"]
    assert not (tmp_path / "again" / ".checkpoint").exists()
    for name in ("paired_tests.csv", "convergence.csv", "fsc.csv"):
        assert (tmp_path / "again" / name).read_text() == (tmp_path / "whole" / name).read_text() or name[0] == "p"
    errors = [
        [row["rotation_error_deg"] for row in rows(tmp_path / out / "particles.csv")] for out in ("again", "whole")
    ]
    assert errors[0] == errors[1]


def test_a_changed_method_is_done_again_and_other_particles_are_refused(tmp_path, monkeypatch):
    trials = SimulatedTrials(RibosomePhantom(), **SMALL)
    out, aligned, align = str(tmp_path), [], Compare._align

    def fails_at_the_end(self, name, trial, device):
        if len(aligned) == 3:
            raise KeyboardInterrupt
        aligned.append((name, trial.name))
        return align(self, name, trial, device)

    monkeypatch.setattr(Compare, "_align", fails_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        Compare({"near": Disturbed(0.1), "far": Disturbed(0.3)}, trials, out)(Provenance("compare"))
    with pytest.raises(InputError, match="other settings"):
        Compare({"near": Disturbed(0.1)}, trials, out, seed=1)(Provenance("compare"))
    aligned.clear()
    monkeypatch.setattr(Compare, "_align", lambda *task: aligned.append((task[1], "")) or align(*task))
    Compare({"near": Disturbed(0.2), "far": Disturbed(0.3)}, trials, out)(Provenance("compare"))
    assert [name for name, _ in aligned] == ["near", "near", "far"]
