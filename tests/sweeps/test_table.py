"""Results as one tidy table, from Python and as files."""

import csv
import json

import pytest

import torchsag
from torchsag.errors import InputError
from torchsag.sweeps.job import Job
from torchsag.sweeps.table import number_or_text, results_below, write_results

AROUND = {"command": "align", "seed": 3, "device": "cpu", "threads": 1, "processes": 1}


def finished(out, settings, summary, error="", **more):
    folder = ",".join(f"{key}={value}" for key, value in settings.items())
    Job(folder, settings, error, None if error else 1.5).write(out)
    metrics = {**AROUND, "versions": {"torch": "2.14"}, "git": {"torchsag": {"commit": "c", "changed": True}}, **more}
    if not error:
        (out / folder / "metrics.json").write_text(json.dumps({**metrics, "summary": summary}))


@pytest.fixture
def sweep(tmp_path):
    finished(tmp_path, {"method": "sag", "particles": "a.star"}, {"particles": 7, "error": 1}, verdict={"trust": "no"})
    finished(tmp_path, {"method": "chen_frm", "particles": "b.star"}, {"particles": 8, "error": 1})
    finished(tmp_path, {"method": "xu_alber", "particles": "b.star"}, {}, error="broken")
    return tmp_path


def test_a_row_for_each_job_with_settings_findings_and_surroundings(sweep):
    rows = results_below(sweep)
    assert len({tuple(row) for row in rows}) == 1
    by_method = {row["method"]: row for row in rows}
    row = by_method["sag"]
    assert (row["particles"], row["found.particles"], row["merit"], row["trust"]) == ("a.star", 7, 1.5, "no")
    assert (row["seed"], row["versions.torch"], row["git.torchsag.commit"]) == (3, "2.14", "c")
    assert by_method["chen_frm"]["trust"] is None
    assert (by_method["xu_alber"]["error"], by_method["xu_alber"]["seed"]) == ("broken", None)


def test_a_comparison_has_a_row_for_each_method_and_trial(tmp_path):
    summary = [{"trial": "SNR 1", "method": name, "mean_ccc": 0.5} for name in ("sag", "chen_frm")]
    finished(tmp_path, {"seed": "3"}, summary)
    rows = results_below(tmp_path)
    assert [(row["seed"], row["trial"], row["method"]) for row in rows] == [
        (3, "SNR 1", "sag"),
        (3, "SNR 1", "chen_frm"),
    ]


def test_a_run_and_runs_side_by_side_are_tables_too(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "common").mkdir(parents=True)
        for folder in (tmp_path / name, tmp_path / name / "common"):
            (folder / "metrics.json").write_text(json.dumps({**AROUND, "summary": {"particles": 1}}))
    assert [row["job"] for row in results_below(tmp_path)] == ["one", "two"]
    assert [row["job"] for row in results_below(tmp_path / "one")] == ["."]


def test_the_files_hold_the_same(sweep, tmp_path):
    rows = results_below(sweep)
    write_results(tmp_path, rows)
    with (tmp_path / "results.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["method"] for row in read] == [row["method"] for row in rows]
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(tmp_path / "results.parquet").to_pylist()
    assert [row["found.particles"] for row in table] == [row["found.particles"] for row in rows]


def test_from_python_it_is_a_frame(sweep):
    pytest.importorskip("pandas")
    frame = torchsag.results(sweep)
    assert frame.shape[0] == 3
    assert frame.set_index("method").loc["sag", "found.particles"] == 7


def test_a_folder_without_results(tmp_path):
    with pytest.raises(InputError, match="none with results in it"):
        torchsag.results(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        torchsag.results(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("0.5", 0.5), ("1e-3", 0.001), ("true", True), ("D7", "D7"), ("[1,2]", "[1,2]")]
)
def test_settings_are_numbers_where_they_are(text, value):
    assert number_or_text(text) == value
    assert type(number_or_text(text)) is type(value)
