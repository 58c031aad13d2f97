"""The examples run, and do what they say."""

import csv
import importlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import torch

from torchsag.app.main import main
from torchsag.io import read_map

EXAMPLES = Path(__file__).resolve().parents[1] / "experiments" / "examples"
PICTURES = EXAMPLES.parents[1] / "docs" / "images" / "gallery"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) < 80


def number(pattern, text):
    """The number that a line of an example's output gives."""
    return float(re.search(pattern, text)[1])


CLAIMS = {
    "align_in_memory": lambda out: 0.7 < number("error ([\\d.]+)", out) / number("expected ([\\d.]+)", out) < 1.4,
    "averaging_with_prior": lambda out: (
        number("learned: .* at ([\\d.]+)", out) < number("default: .* at ([\\d.]+)", out)
        and max(map(float, re.findall("[\\d.]+", out.rpartition("of noise: ")[2]))) < 1.5
    ),
    "calibration": lambda out: number("([\\d]+) % of the 95", out) >= 85,
    "candidates": lambda out: number("RotationalMatching, SNR 0.005.* ([\\d]+) % of all", out) >= 90,
    "defocus": lambda out: number("([\\d.]+) nm after", out) < number("error ([\\d.]+) nm", out) / 3,
    "finite_sums": lambda out: number("CurvatureSAG: ([\\d.e-]+)", out) < 1e-5 < number("SAGOneTerm: ([\\d.e-]+)", out),
    "first_average": lambda out: "oracle, truth" in out,
    "gradients": lambda out: number("([\\d.]+) deg after", out) < number("error ([\\d.]+)", out) / 2,
    "hyperparameters": lambda out: (
        number("learned: .*error ([\\d.]+)", out) < number("it is: .*error ([\\d.]+)", out) - 0.1
    ),
    "joint_refinement": lambda out: number("([\\d.]+) deg after", out) < number("error ([\\d.]+)", out) / 2,
    "lightning_module": lambda out: number("([\\d.]+) deg after", out) < number("error ([\\d.]+)", out) / 2,
    "missing_wedge": lambda out: number("to 60 deg: ([\\d]+)", out) < number("to 90 deg: ([\\d]+)", out) == 100,
    "outliers": lambda out: out.count("with beads") == 3,
    "own_method": lambda out: number("Aligner: .*error ([\\d.]+)", out) < number("1000: .*error ([\\d.]+)", out),
    "tilt_series": lambda out: out.count("weights from") == 3,
    "two_classes": lambda out: number("Rand index ([\\d.]+)$", out) > 0.8,
}


NEEDS = {"lightning_module": "lightning"}  # optional extras


def test_every_example_is_run_and_has_its_picture():
    own = {"learned_loss", "learned_prior", "prior_training", "amortised"}
    names = {path.stem for path in EXAMPLES.glob("*.py")} - own
    assert names == set(CLAIMS) == {path.stem for path in PICTURES.glob("*.png")}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_an_example_shows_what_it_says(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"pip install 'torchsag[{NEEDS[name]}]'")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parents[1])}
    words = [sys.executable, EXAMPLES / f"{name}.py", "picture.png"]
    run = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert CLAIMS[name](run.stdout.strip()), run.stdout
    assert (tmp_path / "picture.png").stat().st_size > 1000
    assert {path.name for path in tmp_path.iterdir()} == {"picture.png"}


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


@pytest.mark.slow
def test_a_network_learns_to_search(tmp_path, monkeypatch):
    """A few steps: it is trained, read and used like any other search; how good it gets is a benchmark's matter."""
    project = copytree(EXAMPLES, tmp_path / "project")
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    subprocess.run([sys.executable, "amortised.py", "3"], check=True)
    words = ["search@method.search=learned", "hydra.searchpath=[file://conf]", "allow=[amortised]"]
    made = ["simulate", "out=particles", "n=3", "snr=0.5", "structure=ribosome", "box=24", "voxel_size_angstrom=14"]
    assert main(made) == 0
    given = ["particles=particles/particles.star", "reference=particles/reference.mrc"]
    assert main(["align", *given, "out=out", "device=cpu", *words]) == 0
    assert main(["align", *given, "out=again", "device=cpu", *words, "method.search.weights=nowhere.pt"]) == 2


@pytest.mark.slow
def test_a_learned_prior_denoises_the_references_of_average(tmp_path, monkeypatch, capfd):
    project = copytree(EXAMPLES, tmp_path / "project")
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    learned = subprocess.run([sys.executable, "prior_training.py", "30"], capture_output=True, text=True, check=True)
    lines = learned.stdout.splitlines()
    gains = [number("error ([\\d.]+)", line) / number("alone ([\\d.]+)", line) for line in lines]
    assert len(gains) == 30
    assert sum(gains[-10:]) < 0.95 * sum(gains[:10])
    simulated = ["out=data", "structure=ribosome", "n=10", "snr=0.1", "box=24", "voxel_size_angstrom=14"]
    assert main(["simulate", *simulated]) == 0
    words = ["particles=data/particles.star", "start=listed_poses", "iterations=1", "device=cpu"]
    named = ["regularisation=learned", "hydra.searchpath=[file://conf]", "allow=[learned_prior]"]
    assert main(["average", "out=out", *words, *named]) == 0
    assert main(["average", "out=again", *words, *named, "regularisation.weights=nowhere.pt"]) == 2
    assert "found no file nowhere.pt" in capfd.readouterr().err
    half = read_map("out/half1.mrc")
    prior, trust = importlib.import_module("learned_prior"), torch.linspace(1, 0, 13)
    network = prior.trained("learned_prior.pt").requires_grad_(False)
    made = prior.denoised(network, half, trust).density
    assert (made - half.density).norm() > 0.01 * half.density.norm()
    # No place is special, and no scale.
    moved = replace(half, density=5 * half.density.roll((3, -4, 5), (0, 1, 2)))
    again = prior.denoised(network, moved, trust).density
    torch.testing.assert_close(again.roll((-3, 4, -5), (0, 1, 2)) / 5, made, rtol=1e-3, atol=1e-4 * float(made.std()))
