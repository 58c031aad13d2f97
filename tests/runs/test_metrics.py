import json
import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.runs.device import pick_device
from torchsag.runs.metrics import alignment_summary, surroundings, write_metrics
from torchsag.runs.progress import progress
from torchsag.runs.provenance import Provenance


def test_what_is_not_a_number_is_null_and_digits_are_few(tmp_path):
    write_metrics(tmp_path / "m.json", {"a": [math.nan, math.inf, 1 / 3], "b": {"c": (1, True, None)}})
    assert json.loads((tmp_path / "m.json").read_text()) == {"a": [None, None, 0.333333], "b": {"c": [1, True, None]}}


def test_summary_leaves_set_aside_particles_out():
    table = {"fault": ["", "NaN", ""], "score": [0.2, 9.0, 0.4], "rotation_error_deg": [1.0, 170.0, 12.0]}
    table |= {"cpu_seconds": [1.0] * 3, "shift_angstrom": [1.0] * 3, "shift_error_angstrom": [1.0] * 3}
    table |= {"rotation_sigma_deg": [math.nan] * 3, "shift_sigma_angstrom": [math.nan] * 3}
    summary = alignment_summary(table)
    assert summary["particles"] == 3
    assert summary["set_aside"] == 1
    assert summary["median_score"] == pytest.approx(0.3)
    assert summary["median_rotation_error_deg"] == pytest.approx(6.5)
    assert summary["within_10_deg"] == 1
    assert summary["median_rotation_sigma_deg"] is None


def test_surroundings_say_what_is_needed_to_repeat_a_run():
    said = surroundings(Provenance("align"), 7, torch.device("cpu"), 2)
    assert {"command": "align", "seed": 7, "device": "cpu", "processes": 2}.items() <= said.items()
    assert {"torchsag", "python", "torch", "numpy"} <= set(said["versions"])


def test_devices():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match="device: expected one of the"):
        pick_device("cuda:99")


def test_progress_without_a_terminal_is_lines(caplog):
    caplog.set_level("INFO")
    with progress("aligning", 10, done=4) as advance:
        advance(3)
        advance(3)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == ["aligning: 10/10"]
    with progress("aligning", 10, visible=False) as advance:
        advance(10)
    assert len(caplog.records) == 1
