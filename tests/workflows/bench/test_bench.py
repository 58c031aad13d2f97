"""``torchsag bench`` as an entrant meets it, with tasks of a few particles."""

import json
import re
from dataclasses import replace

import pytest

from torchsag.app.main import main
from torchsag.bench.fingerprint import Fingerprint
from torchsag.bench.making import make
from torchsag.bench.task import TASKS
from torchsag.bench.truth import draw
from torchsag.io import read_map, read_particles, write_poses
from torchsag.io.lists import read_list

SMALL = tuple(replace(task, particles=8, reference_particles=min(task.reference_particles, 8)) for task in TASKS)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torchsag.bench.task.TASKS", SMALL)
    monkeypatch.setattr("torchsag.workflows.bench.command.TASKS", SMALL)
    monkeypatch.setattr("torchsag.bench.fingerprint.published", lambda task: Fingerprint.of(make(task)))


def truth_of(name, path, **more):
    (task,) = (task for task in SMALL if task.name == name)
    write_poses(path, read_particles(f"b/tasks/{name}/particles.star"), draw(task).poses, **more)
    return draw(task)


def test_without_a_folder_the_tasks_are_listed(tmp_path, capsys):
    assert main(["bench"]) == 0
    out = capsys.readouterr().out
    assert all(task.name in out for task in TASKS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["align_normal", "average_hard", "classify_easy", "calibrate_hard"])
def test_a_task_is_written_with_nothing_of_the_truth(tmp_path, name):
    assert main(["bench", "out=b", f"task={name}"]) == 0
    folder = tmp_path / "b" / "tasks" / name
    listing = read_list(folder / "particles.star")
    assert (listing.rotations, listing.shifts, listing.classes, listing.halves) == (None, None, None, None)
    (task,) = (task for task in SMALL if task.name == name)
    problem = make(task)
    particles = read_particles(folder / "particles.star")
    assert (particles.load(range(8)).volumes - problem.particles.volumes).abs().max() < 1e-4
    assert (particles.load([3]).weights == problem.particles.weights).all()
    assert (folder / "reference.mrc").exists() == task.reference_given
    if problem.reference is not None:
        assert (read_map(folder / "reference.mrc").density - problem.reference.density).abs().max() < 1e-6
    told = json.loads((folder / "task.json").read_text())
    assert told["recipe_sha256"] == task.recipe_digest
    assert {"seed", "structures", "truth"} & set(told) == set()
    assert main(["bench", "out=b", f"task={name}"]) == 0  # what is there stays


def test_own_poses_are_judged_like_anybody_s(tmp_path, capsys):
    assert main(["bench", "out=b", "method=curvature_sag", "task=[align_easy,calibrate_easy]"]) == 0
    sheet = json.loads((tmp_path / "b" / "sheet.json").read_text())
    own = sheet["tasks"]["align_easy"]["measures"]
    assert own["within_10_deg"]["value"] == 1
    assert own["cpu_seconds_per_particle"]["value"] > 0
    assert sheet["tasks"]["calibrate_easy"]["measures"]["inside_99"]["value"] > 0.5
    assert "within 10°" in (tmp_path / "b" / "report.html").read_text()
    capsys.readouterr()
    words = ["judge=b/runs/align_easy/poses.star", "task=align_easy", "name=mine", "cpu_seconds=16"]
    assert main(["bench", "out=c", *words]) == 0
    assert re.search(r"within 10°.*100 %", capsys.readouterr().out)
    again = json.loads((tmp_path / "c" / "sheet.json").read_text())
    assert again["name"] == "mine"
    judged = again["tasks"]["align_easy"]["measures"]
    assert judged.pop("cpu_seconds_per_particle")["value"] == 2
    own.pop("cpu_seconds_per_particle")
    assert judged == own
    assert main(["bench", "out=e", *words, "first=4"]) == 0
    part = json.loads((tmp_path / "e" / "sheet.json").read_text())["tasks"]["align_easy"]
    assert part["particles"] == 4
    assert part["columns"]["rotation_error_deg"] == again["tasks"]["align_easy"]["columns"]["rotation_error_deg"][:4]
    assert main(["bench", "sheets=[e,c]"]) == 0
    assert main(["bench", "sheets=[b,c/sheet.json]", "out=d"]) == 0
    assert {row["p"] for row in json.loads((tmp_path / "d" / "versus.json").read_text())} == {1.0}


def test_a_folder_of_lists_is_one_sheet(tmp_path):
    assert main(["bench", "out=b", "task=[average_easy,classify_easy]"]) == 0
    (tmp_path / "theirs").mkdir()
    truth_of("average_easy", "theirs/average_easy.star")
    truth = truth_of("classify_easy", "theirs/unused.star")
    truth_of("classify_easy", "theirs/classify_easy.star", classes=truth.classes)
    (tmp_path / "theirs" / "average_easy.json").write_text('{"cpu_seconds": 4}')
    assert main(["bench", "out=c", "judge=theirs"]) == 0
    tasks = json.loads((tmp_path / "c" / "sheet.json").read_text())["tasks"]
    assert list(tasks) == ["average_easy", "classify_easy"]
    assert tasks["average_easy"]["measures"]["within_10_deg"]["value"] == 1
    assert tasks["average_easy"]["measures"]["cpu_seconds_per_particle"]["value"] == 0.5
    assert tasks["classify_easy"]["measures"]["adjusted_rand_index"]["value"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=align_esay"], "task: expected one of align_easy, "),
        (["method=sag"], "out: expected a folder"),
        (["judge=nowhere.star", "task=align_easy"], "judge: expected a file or folder, got nowhere.star"),
        (["judge=here.star"], "task: expected the one that here.star answers"),
        (["judge=.", "out=x"], "expected a list called as its task"),
        (["judge=here.star", "method=sag", "out=x"], "judge: expected none beside method="),
        (["first=5"], "first: expected judge= with it"),
        (["cpu_seconds=3"], "cpu_seconds: expected judge= with it"),
        (["sheets=[here.star]"], "sheets: expected two"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(tmp_path, capsys, words, said):
    (tmp_path / "here.star").write_text("data_particles\n")
    assert main(["bench", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_with_another_edition_is_left_alone(tmp_path, capsys):
    assert main(["bench", "out=b", "task=align_easy"]) == 0
    (tmp_path / "b" / "tasks" / "align_easy" / "task.json").write_text("{}")
    assert main(["bench", "out=b", "task=align_easy"]) == 2
    assert "another edition" in capsys.readouterr().err


@pytest.mark.slow
def test_own_averages_and_classes_are_judged(tmp_path):
    words = ["task=[average_easy,classify_easy]", "method@local_method=curvature_sag_local"]
    assert main(["bench", "out=b", "method=curvature_sag", *words]) == 0
    tasks = json.loads((tmp_path / "b" / "sheet.json").read_text())["tasks"]
    assert tasks["average_easy"]["measures"]["within_10_deg"]["value"] > 0.8
    assert "adjusted_rand_index" in tasks["classify_easy"]["measures"]
