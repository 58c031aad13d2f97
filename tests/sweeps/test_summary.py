"""All jobs of a sweep as one comparison."""

import csv

from torchsag.evaluation.comparison_tables import Tables, summarise
from torchsag.sweeps.job import Job, forget_failures, jobs_below
from torchsag.sweeps.summary import summarise_sweep


def compared(out, settings, method, error, trial="SNR 0.1"):
    folder = ",".join(f"{key}={value}" for key, value in settings.items())
    Job(folder, settings, merit=error).write(out)
    rows = [
        {
            "trial": trial, "snr": 0.1, "method": method, "particle": f"p{k}", "ccc": 0.5, "cpu_seconds": 0.1,
            "evaluations": 5.0, "converged": True, "rotation_error_deg": error + 0.1 * k, "shift_error_angstrom": 1.0,
        }
        for k in range(3)
    ]  # fmt: skip
    Tables(rows, [summarise(rows)], []).write(out / folder)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_methods_of_different_jobs_are_tested_against_each_other(tmp_path):
    compared(tmp_path, {"method": "sag", "trials.snr": "0.1"}, "sag", 1.0)
    compared(tmp_path, {"method": "chen_frm", "trials.snr": "0.1"}, "chen_frm", 3.0)
    compared(tmp_path, {"method": "chen_frm", "trials.snr": "1"}, "chen_frm", 1.0, "SNR 1")
    Job("method=xu", {"method": "xu", "trials.snr": "1"}, "no such thing").write(tmp_path)
    files = summarise_sweep(tmp_path, None)
    assert {path.name for path in files} | {"results.parquet"} == {
        "jobs.csv", "results.csv", "results.parquet", "particles.csv", "summary.csv", "paired_tests.csv",
        "convergence.csv", "fsc.csv",
    }  # fmt: skip
    assert len(read(tmp_path / "summary.csv")) == 3
    (test,) = (t for t in read(tmp_path / "paired_tests.csv") if t["quantity"] == "rotation_error_deg")
    assert {test["first"], test["second"]} == {"sag", "chen_frm"}
    assert abs(float(test["mean_difference"])) == 2
    failed = [job for job in read(tmp_path / "jobs.csv") if job["error"]]
    assert [(job["method"], job["error"]) for job in failed] == [("xu", "no such thing")]


def test_what_varies_is_in_the_names(tmp_path):
    compared(tmp_path, {"loss@method.loss": "huber", "trials.tilt_deg": "40"}, "sag", 1.0)
    compared(tmp_path, {"loss@method.loss": "square", "trials.tilt_deg": "40"}, "sag", 2.0)
    compared(tmp_path, {"loss@method.loss": "square", "trials.tilt_deg": "60"}, "sag", 2.0)
    summarise_sweep(tmp_path, None)
    names = {(row["trial"], row["method"]) for row in read(tmp_path / "summary.csv")}
    assert names == {
        ("SNR 0.1, tilt_deg=40", "sag, loss=huber"),
        ("SNR 0.1, tilt_deg=40", "sag, loss=square"),
        ("SNR 0.1, tilt_deg=60", "sag, loss=square"),
    }


def test_jobs_without_a_comparison_are_only_listed(tmp_path):
    Job("seed=1", {"seed": "1"}).write(tmp_path)
    files = {path.name for path in summarise_sweep(tmp_path, None)}
    assert files - {"results.parquet"} == {"jobs.csv", "results.csv"}


def test_a_new_sweep_forgets_failures_but_not_results(tmp_path):
    Job("seed=1", {"seed": "1"}).write(tmp_path)
    Job("seed=2", {"seed": "2"}, "broken").write(tmp_path)
    forget_failures(tmp_path)
    assert jobs_below(tmp_path) == [Job("seed=1", {"seed": "1"})]
