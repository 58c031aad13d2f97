"""What is noted while a run lasts, and where it is kept."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from torchsag.loggers import Entry, Started, logged, note, skip, summary
from torchsag.loggers.csv import CSVLogger
from torchsag.loggers.none import NoLogger
from torchsag.loggers.settings import flat_settings

CONFIGURATION = "seed: 3\nmethod:\n  _target_: x.Y\n  rounds: 2\nsnr: [1, 2]\n"


@dataclass
class Kept:
    entries: list = field(default_factory=list)
    ended: list = field(default_factory=list)

    def open(self, run):
        return self

    def keep(self, entry):
        if entry.stage == "broken":
            raise OSError("no room")
        self.entries.append(entry)

    def close(self, finished):
        self.ended.append(finished)


def run(out):
    return Started("align", Path(out), CONFIGURATION)


def test_nothing_is_kept_outside_of_a_run():
    note("chunk", {"a": 1})
    with logged(NoLogger(), run("o")), logged(None, run("o")):
        note("chunk", {"a": 1})


def test_numbers_are_kept_with_the_steps_of_their_stage():
    kept = Kept()
    with logged(kept, run("o")):
        skip("chunk", 64)
        note("chunk", {"score": 0.5, "name": "x", "none": float("nan"), "all": True}, advance=36)
        note("iteration", {"resolution": 20})
        note("iteration", {"resolution": 18})
        note("trial", {"error": 1}, "SNR 1/sag")
        note("iteration", {"text": "x"})
    assert kept.entries == [
        Entry("chunk", 100, {"score": 0.5, "all": 1.0}),
        Entry("iteration", 1, {"resolution": 20.0}),
        Entry("iteration", 2, {"resolution": 18.0}),
        Entry("trial", 1, {"error": 1.0}, "SNR 1/sag"),
    ]
    assert kept.entries[-1].named() == {"trial/SNR 1/sag/error": 1.0}
    assert kept.ended == [True]


def test_the_summary_is_the_runs_own(tmp_path):
    kept = Kept()
    with logged(kept, run(tmp_path)):
        summary(tmp_path / "common" / ".staging" / "metrics.json", {"particles": 1})
        summary(tmp_path / ".staging" / "metrics.json", {"particles": 2})
        summary(tmp_path / ".staging" / "metrics.json", [{"trial": "t", "method": "m", "ccc": 3}])
    assert [(entry.label, entry.numbers) for entry in kept.entries] == [("", {"particles": 2}), ("t/m", {"ccc": 3})]


def test_a_failed_run_is_closed_as_one():
    kept = Kept()
    with pytest.raises(ZeroDivisionError), logged(kept, run("o")):
        raise ZeroDivisionError
    assert kept.ended == [False]
    note("chunk", {"a": 1})
    assert kept.entries == []


def test_a_logger_that_fails_does_not_end_the_run(caplog):
    with logged(Kept(), run("o")):
        note("broken", {"a": 1})
    assert "logger: OSError: no room; the run goes on" in caplog.text


def test_a_table_that_is_carried_on(tmp_path):
    for value in (1, 2):
        with logged(CSVLogger(), run(tmp_path / "o")):
            note("trial", {"=a": value}, "@x")
    with (tmp_path / "o" / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], row["step"], row["value"]) for row in rows] == [("trial", "1", "1"), ("trial", "1", "2")]
    assert not rows[0]["label"].startswith("@")
    assert not rows[0]["quantity"].startswith("=")


def test_a_tables_name_cannot_lead_elsewhere(tmp_path):
    with logged(CSVLogger("../elsewhere.csv"), run(tmp_path / "o")):
        note("chunk", {"a": 1})
    assert (tmp_path / "o" / "elsewhere.csv").exists()


def test_settings_are_flat():
    assert flat_settings(CONFIGURATION) == {"seed": 3, "method._target_": "x.Y", "method.rounds": 2, "snr": [1, 2]}
    assert flat_settings("# called from Python\na: [\n") == {}
    assert flat_settings("") == {}
