"""A sweep from its command to its table, and again with more values: what is done is not done again."""

import csv
import json

import pytest

import torchsag
from torchsag.app.main import main

SMALL = ["n=6", "box=16", "voxel_size_angstrom=24", "snr=1", "structure=ribosome", "device=cpu", "threads=1"]
SWEPT = ["method=candidate_refinement,chen_frm", "method.max_candidates=2"]


def sweep(*words):
    assert main(["compare", "-m", "out=sweep", *SMALL, *words]) == 0


def stamps(out):
    """When each job's numbers were written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/metrics.json")}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_sweep_is_extended_and_its_table_has_every_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "sweep"
    sweep(*SWEPT, "seed=1")
    before = stamps(out)
    assert len(before) == 2
    sweep(*SWEPT, "seed=1,2")
    after = stamps(out)
    assert len(after) == 4  # the first two under the names that they have now
    assert set(before.values()) <= set(after.values())
    assert min(set(after.values()) - set(before.values())) > max(before.values())

    table = rows(out / "results.csv")
    assert sorted((row["method"], row["seed"]) for row in table) == [
        (method, seed) for method in ("candidate_refinement", "chen_frm") for seed in "12"
    ]
    assert all(row["job"] in after and not row["error"] for row in table)
    assert all(float(row["median_rotation_error_deg"]) >= 0 for row in table)
    metrics = json.loads(next(out.glob("*/metrics.json")).read_text())
    for row in table:
        assert row["versions.torch"] == metrics["versions"]["torch"]
        assert row["versions.torchsag"] == torchsag.__version__
        assert row["git.torchsag.commit"] == str((metrics["git"]["torchsag"] or {}).get("commit", ""))

    # Nothing to do leaves everything as it is.
    sweep(*SWEPT, "seed=1,2")
    assert stamps(out) == after

    page = (out / "sweep.html").read_text()
    assert "Wilcoxon" in page
    tests = rows(out / "paired_tests.csv")
    assert tests
    assert all(0 <= float(row["wilcoxon_p"]) <= 1 for row in tests)
