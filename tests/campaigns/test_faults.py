"""Disks that fill up or turn read-only, clocks that jump: a few in every run of the tests, many in the slow ones."""

import os
import shutil
from dataclasses import replace

import faults
import kills
import pytest
from small_data import align_words, write_set

from torchsag.app.main import main
from torchsag.bench.task import TASKS


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind in ("full", "forbidden") else pytest.mark.slow) for kind in faults.FAULTS],
)
def test_a_command_under_a_fault_ends_in_one_sentence_and_is_repeated_to_the_same_result(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(faults, "FAULTS", {kind: faults.FAULTS[kind]})
    found = faults.run(tmp_path, 2, 1, only=("map", "convert"))
    assert found["defects"] == []
    assert found["table"] == {command: {kind: {"runs": 1, "sound": 1}} for command in ("map", "convert")}


@pytest.mark.slow
def test_every_command_survives_every_fault(tmp_path):
    found = faults.run(tmp_path, 65, 2)
    assert found["defects"] == []


def test_the_campaign_would_see_a_traceback_two_sentences_and_half_a_file(tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"
    out.mkdir()
    two = 2 << 8  # a wait status
    log.write_text("torchsag: out=x: cannot be written (No space left on device); free some space\n")
    assert faults.judged(two, log, out, "full") == ""
    (out / "poses.star").write_text("data_\nloop_\n_rlnAngleRot\n1.0")
    assert "half written" in faults.judged(two, log, out, "full")
    (out / "poses.star").unlink()
    log.write_text("Traceback (most recent call last):\n")
    assert "traceback" in faults.judged(1 << 8, log, out, "full")
    log.write_text("torchsag: one\ntorchsag: two\n")
    assert "2 sentences" in faults.judged(two, log, out, "full")
    assert "ended with" in faults.judged(9, log, out, "read-only")
    assert "ended with" in faults.judged(two, log, out, "jumping clock")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An alignment with its page."""
    folder = tmp_path_factory.mktemp("finished")
    write_set(folder / "p", 4)
    assert main(align_words(folder / "p", folder / "out", "threads=1", "device=cpu", "method=fast_matching")) == 0
    return folder / "out"


@pytest.mark.parametrize(
    "kind", ["full", *(pytest.param(kind, marks=pytest.mark.slow) for kind in faults.FAULTS if kind != "full")]
)
def test_a_page_that_cannot_be_written_again_stays_as_it_is(finished, tmp_path, kind):
    """`report` writes into a folder of results."""
    out, log = tmp_path / "out", tmp_path / "log"
    shutil.copytree(finished, out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    log.write_text("")
    status, _ = kills.in_child(["report", f"out={out}"], log, lambda: faults.FAULTS[kind](1, out))
    assert faults.judged(status, log, out, kind) == ""
    assert os.WEXITSTATUS(status) == (0 if kind == "jumping clock" else 2)
    after = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    if kind != "jumping clock":
        assert after == before
    assert kills.remains(out) == [] or kind in ("read-only", "forbidden")


@pytest.mark.slow
@pytest.mark.parametrize("kind", faults.FAULTS)
@pytest.mark.parametrize("begins", [1, 4, 9])
def test_the_tasks_of_bench_under_a_fault_are_written_again_whole(tmp_path, monkeypatch, kind, begins):
    small = tuple(replace(task, particles=4, reference_particles=min(task.reference_particles, 4)) for task in TASKS)
    monkeypatch.setattr("torchsag.workflows.bench.command.TASKS", small)
    out, log = tmp_path / "out", tmp_path / "log"
    words = ["bench", f"out={out}", "task=align_easy"]
    log.write_text("")
    status, _ = kills.in_child(words, log, lambda: faults.FAULTS[kind](begins, out))
    assert faults.judged(status, log, out, kind) == ""
    assert main(words) == 0
    assert main([*words[:1], f"out={tmp_path / 'whole'}", *words[2:]]) == 0
    assert kills.results(out) == kills.results(tmp_path / "whole")
    assert kills.remains(out) == []
