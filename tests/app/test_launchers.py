"""Sweeps through the plugins of hydra, to the end: jobs in processes, through submitit, and a search by Optuna."""

import csv
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.slow
SMALL = ["n=6", "box=16", "voxel_size_angstrom=24", "snr=1", "threads=1", "device=cpu", "out=sweep"]


def installed(name):
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def sweep(folder, *words):
    command = [sys.executable, "-m", "torchsag", "compare", "-m", *SMALL, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("plugin", "launcher"),
    [
        ("hydra_plugins.hydra_joblib_launcher", ["hydra/launcher=processes"]),
        ("hydra_plugins.hydra_submitit_launcher", ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10"]),
    ],
    ids=["joblib", "submitit"],
)
def test_jobs_in_processes_are_summed_up_and_carried_on(tmp_path, plugin, launcher):
    if not installed(plugin):
        pytest.skip(f"{plugin} is not installed")
    words = ["method=candidate_refinement,chen_frm", "method.max_candidates=2", *launcher]
    first = sweep(tmp_path, *words, "seed=1")
    assert first.returncode == 0, first.stderr
    assert "2 of 2 jobs ended well" in first.stdout
    out = tmp_path / "sweep"
    assert {path.name for path in out.glob("*.html")} == {"report.html", "sweep.html"}
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/metrics.json")}
    assert len(before) == 2
    more = sweep(tmp_path, *words, "seed=1,2", "snr=1,0")
    assert more.returncode == 2, more.stdout
    jobs = rows(out / "jobs.csv")
    assert sum(bool(row["error"]) for row in jobs) == 4
    assert len(jobs) == 8  # two of them under a new name
    after = {path.stat().st_mtime_ns for path in out.glob("*/metrics.json")}
    assert set(before.values()) <= after
    assert len(after) == 4


def test_optuna_finds_the_better_of_two_settings(tmp_path):
    if not installed("hydra_plugins.hydra_optuna_sweeper"):
        pytest.skip("the Optuna sweeper is not installed")
    words = ["method=candidate_refinement", "method.max_passes=range(1,12,10)", "hydra/sweeper=optuna_search"]
    done = sweep(tmp_path, *words, "hydra.sweeper.n_trials=6")
    assert done.returncode == 0, done.stderr
    assert "best: [" in done.stdout
    jobs = rows(tmp_path / "sweep" / "jobs.csv")
    assert {row["method.max_passes"] for row in jobs} <= {"1", "11"}
    merits = {row["method.max_passes"]: float(row["merit"]) for row in jobs}
    best = (tmp_path / "sweep" / "optimization_results.yaml").read_text()
    assert f"best_value: {min(merits.values())}"[:20] in best
    assert (tmp_path / "sweep" / "sweep.html").exists()
