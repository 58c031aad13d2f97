"""The examples run, and do what they say."""

import csv
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from torchsag.app.main import main

EXAMPLES = Path(__file__).resolve().parents[1] / "experiments" / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) < 80


@pytest.mark.slow
def test_a_learned_loss_aligns_particles_of_another_structure(tmp_path, monkeypatch):
    project = copytree(EXAMPLES, tmp_path / "project")
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    learned = subprocess.run([sys.executable, "learned_loss.py", "30"], capture_output=True, text=True, check=True)
    chances = [float(line.rpartition(" ")[2]) for line in learned.stdout.splitlines()]
    assert len(chances) == 30
    assert sum(chances[-10:]) > sum(chances[:10])
    words = ["method=volume_refinement", "loss@method.loss=learned", "hydra.searchpath=[file://conf]"]
    assert main(["compare", "out=out", "n=4", "snr=0.1", "device=cpu", *words, "allow=[learned_loss]"]) == 0
    with open("out/summary.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["method"] == "volume_refinement"
    assert float(row["median_rotation_error_deg"]) < 1.5
