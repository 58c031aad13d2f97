"""``torchsag compare`` from the command line: one method, several, and sweeps."""

import csv

import pytest

from torchsag.app.composition import compose_command
from torchsag.app.main import main
from torchsag.app.shorthands import expand_shorthands

OWN = ["hydra.searchpath=[file://conf]", "allow=[mymethods]", "device=cpu", "threads=1"]
SMALL = ["n=2", "box=16", "voxel_size_angstrom=24", "out=out"]


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_one_method_by_its_name_and_short_keys(own_project):
    words = expand_shorthands("compare", ["out=o", OWN[0], "method=still", "method.rounds=3", "snr=0.5", "n=7"])
    config = compose_command("compare", words)
    assert config["methods"] == {"still": {"_target_": "mymethods.still.Still", "strength": 1.0, "rounds": 3}}
    assert (config["trials"]["snr"], config["trials"]["n"]) == (0.5, 7)
    assert "method" not in config
    assert set(compose_command("compare", ["out=o"])["methods"]) > {"sag", "xu_alber", "chen_frm"}
    assert expand_shorthands("simulate", ["snr=1"]) == ["snr=1"]


def test_a_sweep_sums_up_its_jobs_and_survives_a_failure(own_project, capsys):
    sweep = ["-m", "method=still", "method.strength=1,2", "snr=1,0", "~report"]
    assert main(["compare", *SMALL, *OWN, *sweep]) == 2
    out = own_project / "out"
    assert {path.name for path in out.iterdir() if path.is_dir()} == {
        f"method.strength={strength},trials.snr={snr}" for strength in (1, 2) for snr in (1, 0)
    }
    summary = read(out / "summary.csv")
    assert [(row["trial"], row["method"]) for row in summary] == [
        ("SNR 1", "still, strength=1"),
        ("SNR 1", "still, strength=2"),
    ]
    assert len(read(out / "paired_tests.csv")) == 3
    jobs = read(out / "jobs.csv")
    assert {job["trials.snr"]: job["error"][:34] for job in jobs} == {
        "1": "",
        "0": "trials.snr: expected one number ab",
    }
    assert [job["merit"] != "" for job in jobs] == [not job["error"] for job in jobs]
    made = {path.name for path in out.iterdir()}
    assert {"report.html", "errors.png", "time.png"} <= made
    assert "convergence.png" not in made  # the method does not say what it spent
    captured = capsys.readouterr()
    assert "2 of 4 jobs ended well" in captured.out


@pytest.mark.parametrize("word", ["hydra/launcher=processes", "hydra/sweeper=optuna_search"])
def test_a_missing_plugin_is_named(own_project, capsys, word):
    pytest.importorskip("hydra")
    for package in ("joblib_launcher", "optuna_sweeper"):
        if _installed(f"hydra_plugins.hydra_{package}"):
            pytest.skip("the plugins are installed")
    assert main(["compare", *SMALL, *OWN, "-m", "method=still", "snr=1,10", word]) == 2
    assert "is a plugin that is not installed; pip install 'torchsag[" in capsys.readouterr().err


def _installed(name):
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
