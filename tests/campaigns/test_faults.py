"""Disks that fill up or turn read-only, clocks that jump: a few in every run of the tests, many in the slow ones."""

import faults
import pytest


@pytest.mark.parametrize("kind", faults.FAULTS)
def test_a_command_under_a_fault_ends_in_one_sentence_and_is_repeated_to_the_same_result(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(faults, "FAULTS", {kind: faults.FAULTS[kind]})
    found = faults.run(tmp_path, 2, 1, only=("map", "convert"))
    assert found["defects"] == []
    assert found["table"] == {command: {kind: {"runs": 1, "sound": 1}} for command in ("map", "convert")}


@pytest.mark.slow
def test_every_command_survives_every_fault(tmp_path):
    found = faults.run(tmp_path, 110, 2)
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
