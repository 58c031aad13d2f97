"""``torchsag align`` from the command line: what comes out, and what happens to unusable input."""

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import time

import pytest
import torch

from torchsag.app.main import main
from torchsag.io import read_particles, write_map
from torchsag.particles import DensityMap
from torchsag.runs.output_folder import claim

N = 8
OWN = ["hydra.searchpath=[file://conf]", "method=still", "allow=[mymethods]", "device=cpu", "threads=1"]


def volume(seed):
    return DensityMap(torch.randn(N, N, N, generator=torch.Generator().manual_seed(seed)), 5.0)


@pytest.fixture
def project(own_project):
    """The user's folder with five particles, a list of them and a reference."""
    for i in range(5):
        write_map(own_project / "data" / f"vol_{i}.mrc", volume(i))
    names = "".join(f"vol_{i}.mrc,-60,60\n" for i in range(5))
    (own_project / "data" / "list.csv").write_text("volume,tilt_min_deg,tilt_max_deg\n" + names)
    write_map(own_project / "reference.mrc", volume(9))
    return own_project


def align(*words, out="out", particles="data/list.csv", reference="reference.mrc"):
    return main(["align", f"particles={particles}", f"reference={reference}", f"out={out}", *OWN, "~report", *words])


def test_results_go_to_out_and_nowhere_else(project, capsys):
    before = {path.name for path in project.iterdir()}
    assert main(["align", "particles=data/list.csv", "reference=reference.mrc", "out=out", "chunk=2", *OWN]) == 0
    assert (project / "out" / "report.html").exists()
    assert {path.name for path in project.iterdir()} - before == {"out"}
    assert "poses.star" in capsys.readouterr().out
    assert len(read_particles(project / "out" / "poses.star")) == 5
    resolved = (project / "out" / "config.yaml").read_text()
    assert "chunk: 2" in resolved
    assert "_target_: mymethods.still.Still" in resolved
    assert json.loads((project / "out" / "metrics.json").read_text())["threads"] == 1


def damage_header(project, offset, *values):
    path = project / "data" / "vol_2.mrc"
    content = bytearray(path.read_bytes())
    content[offset : offset + 4 * len(values)] = struct.pack(f"<{len(values)}f", *values)
    path.write_bytes(content)


def missing_file(project):
    (project / "data" / "vol_2.mrc").unlink()


def truncated(project):
    path = project / "data" / "vol_2.mrc"
    path.write_bytes(path.read_bytes()[:-100])


def wrong_box(project):
    write_map(project / "data" / "vol_2.mrc", DensityMap(torch.rand(10, 10, 10), 5.0))


def not_a_number(project):
    path = project / "data" / "vol_2.mrc"
    path.write_bytes(path.read_bytes()[:-4] + b"\x00\x00\xc0\x7f")


def all_zero(project):
    path = project / "data" / "vol_2.mrc"
    path.write_bytes(path.read_bytes()[:1024] + bytes(4 * N**3))


def unequal_voxel_sizes(project):
    write_map(project / "data" / "vol_2.mrc", DensityMap(volume(2).density, 7.0))


def voxel_size_zero(project):
    damage_header(project, 40, 0.0, 0.0, 0.0)


def empty_list(project):
    (project / "data" / "list.csv").write_text("volume,tilt_min_deg,tilt_max_deg\n")


def duplicate(project):
    with (project / "data" / "list.csv").open("a") as file:
        file.write("vol_2.mrc,-60,60\n")


def unknown_column(project):
    path = project / "data" / "list.csv"
    path.write_text(path.read_text().replace("tilt_min_deg", "tilt_min"))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (missing_file, "vol_2.mrc"),
        (truncated, "vol_2.mrc"),
        (wrong_box, "vol_2.mrc: expected a box of (8, 8, 8)"),
        (not_a_number, "vol_2.mrc: expected finite values, got NaN"),
        (all_zero, "vol_2.mrc: expected density that varies, got 0 in every voxel"),
        (unequal_voxel_sizes, "vol_2.mrc: expected a voxel size of 5 angstrom"),
        (voxel_size_zero, "vol_2.mrc: neither the list nor the volume's header gives one voxel size"),
        (empty_list, "expected at least one particle, got an empty list"),
        (duplicate, "vol_2.mrc stands twice in the list"),
        (unknown_column, "unknown column 'tilt_min'; did you mean tilt_min_deg?"),
    ],
)
def test_bad_particles_are_one_sentence_and_touch_nothing(project, capsys, damage, sentence):
    assert align() == 0
    before = contents_of_files(project / "out")
    damage(project)
    capsys.readouterr()
    assert align() == 2
    stderr = capsys.readouterr().err
    said = [line for line in stderr.splitlines() if line.startswith("torchsag: ")]
    assert len(said) == 1
    assert sentence in said[0]
    assert "Traceback" not in stderr
    after = {name: content for name, content in contents_of_files(project / "out").items() if name in before}
    assert after == before


def contents_of_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"particles": "nowhere.star"}, "nowhere.star: no such file"),
        ({"particles": "nowhere"}, "nowhere: no such file or folder"),
        ({"particles": "'data/none_*.mrc'"}, "expected at least one volume"),
        ({"reference": "nowhere.mrc"}, "nowhere.mrc"),
        ({"reference": "data/list.csv"}, "list.csv"),
        ({"out": "reference.mrc"}, "out=reference.mrc: expected a folder that can be written"),
        ({"out": "/proc/torchsag"}, "out=/proc/torchsag: expected a folder that can be written"),
    ],
)
def test_other_bad_paths(project, capsys, words, sentence):
    before = contents_of_files(project)
    assert align(**words) == 2
    assert sentence in capsys.readouterr().err
    assert contents_of_files(project) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_out(project, capsys):
    (project / "out").mkdir(mode=0o555)
    assert align() == 2
    assert "expected a folder that can be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("chunck=3", "unknown configuration key 'chunck' for align; did you mean 'chunk'?"),
        ("method.strength=-1", "still: expected strength above 0, got -1"),
        ("chunk=some", "chunk: expected int or none, got 'some'"),
        ("chunk=0", "chunk: expected at least 1 particle"),
        ("symmetry=Q3", "symmetry: expected C1, Cn, Dn"),
        ("device=quantum", "device: expected auto, cpu, cuda"),
        ("threads=0", "threads: expected a whole number of at least 1"),
        ("+method.extra=1", "unknown configuration key 'method.extra'"),
        ("tilt_min_deg=-60", "expected both tilt_min_deg and tilt_max_deg"),
        ("report=null", "to leave a component out write ~report"),
        ("truth=data/list.csv", "list.csv: expected a true pose for every particle, found none"),
    ],
)
def test_bad_settings(project, capsys, word, sentence):
    assert align(word) == 2
    assert sentence in capsys.readouterr().err
    assert not (project / "out").exists()


def test_two_runs_cannot_share_a_folder(project, capsys):
    with claim(project / "out"):
        assert align() == 2
    assert "another run is writing there" in capsys.readouterr().err


def test_multirun_leaves_one_folder_a_job_and_survives_a_failure(project, capsys):
    assert align("-m", "method.strength=1,-1,2") == 2
    captured = capsys.readouterr()
    assert "[method.strength=-1] still: expected strength above 0" in captured.err
    jobs = {path.name for path in (project / "out").iterdir() if path.is_dir()}
    assert jobs == {"method.strength=1", "method.strength=-1", "method.strength=2"}
    for name in ("method.strength=1", "method.strength=2"):
        made = {path.name for path in (project / "out" / name).iterdir()}
        assert made == {
            "average.mrc",
            "config.yaml",
            "job.json",
            "metrics.json",
            "poses.star",
            "set_aside.txt",
            "slices.npz",
            "views",
            "weights",
        }
    with open(project / "out" / "jobs.csv", newline="") as file:
        errors = {row["method.strength"]: row["error"] for row in csv.DictReader(file)}
    assert errors.pop("-1").startswith("still: expected strength above 0")
    assert errors == {"1": "", "2": ""}
    assert "2 of 3 jobs ended well" in captured.out
    assert {path.name for path in project.iterdir()} == {"conf", "data", "mymethods", "out", "reference.mrc"}


def test_a_misspelt_choice_in_a_sweep_is_reported_before_anything_runs(project, capsys):
    words = ["-m", "particles=data/list.csv", "reference=reference.mrc", "out=out", OWN[0], "method=still,stil"]
    assert main(["align", *words]) == 2
    assert "method: expected one of" in capsys.readouterr().err
    assert not list((project / "out").glob("*/*"))


SLOW = """
import sys, time
from mymethods import still
from torchsag.runs import chunked_alignment
real = chunked_alignment.ChunkAligner.__call__
def slow(self, rows):
    if rows.start >= 2:
        time.sleep(600)
    return real(self, rows)
chunked_alignment.ChunkAligner.__call__ = slow
from torchsag.app.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_run_killed_outright_resumes_with_the_same_command(project, capsys):
    words = ["align", "particles=data/list.csv", "reference=reference.mrc", "out=out", "chunk=1", "~report", *OWN]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *words], env={**os.environ, "PYTHONPATH": str(project)})
    chunks = project / "out" / ".checkpoint"
    deadline = time.monotonic() + 120
    while len(list(chunks.glob("chunk-*.npz"))) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (project / "out" / "poses.star").exists()
    assert main(words) == 0
    assert "resuming: 2 of 5 particles are done" in capsys.readouterr().err
    assert align("chunk=1", out="whole") == 0
    resumed, whole = (read_particles(project / out / "poses.star").poses for out in ("out", "whole"))
    assert torch.equal(resumed.rotations, whole.rotations)
    assert torch.equal(resumed.shifts, whole.shifts)


def test_the_report_can_be_made_again(project, capsys):
    assert align() == 0
    assert not (project / "out" / "report.html").exists()
    assert main(["report", "out=out", "report.title=Again"]) == 0
    assert "<h1>Again</h1>" in (project / "out" / "report.html").read_text()
    assert main(["report", "out=nowhere"]) == 2
    assert "expected the folder of a finished run" in capsys.readouterr().err
    assert main(["report", "out=data"]) == 2
    assert "expected the files of a finished alignment" in capsys.readouterr().err
