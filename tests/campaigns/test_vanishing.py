"""Files that go while a command runs: named and set aside, or the end of the run in one sentence."""

import json
import shutil

import pytest

from torchsag.app.main import main
from torchsag.io.star import read_star
from torchsag.particles.particle_set import ParticleSet
from torchsag.workflows.classify.state import ClassificationState

COUNT = 14
QUICK = ["threads=1", "~report", "device=cpu", "chunk=4", "cache_gigabytes=0"]
COMMANDS = {
    "align": [],
    "average": ["iterations=2"],
    "classify": [
        "classes=2", "repeats=1", "common_iterations=1", "class_alignments=1", "resolution_angstrom=40",
        "~local_alignment",
    ],
}  # fmt: skip


def words(command, folder, out, *more):
    quick = [word for word in QUICK if command != "align" or not word.startswith("cache")]
    given = [f"particles={folder / 'list.csv'}", f"reference={folder / 'reference.mrc'}", f"out={out}"]
    return [command, *given, *COMMANDS[command], *quick, *more]


def spoil_after(monkeypatch, calls, spoil):
    """Do something to the files once particles have been read so many times; returns how often they are read."""
    count = [0]
    read = ParticleSet._load_all

    def counted(self, indices, device):
        count[0] += 1
        if count[0] == calls:
            spoil()
        return read(self, indices, device)

    monkeypatch.setattr(ParticleSet, "_load_all", counted)
    return count


def readings(monkeypatch, command, folder, out):
    with monkeypatch.context() as here:
        count = spoil_after(here, 0, None)
        assert main(words(command, folder, out)) == 0
    return count[0]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("part", [0.1, 0.35, 0.6, 0.9, 1.0])
def test_a_particle_that_vanishes_at_any_time_is_set_aside_by_name_or_has_a_pose(
    fresh, tmp_path, monkeypatch, capfd, command, part
):
    """Its pose stands where nothing but the verdict has still to look at it."""
    calls = max(1, round(part * readings(monkeypatch, command, fresh, tmp_path / "whole")))
    spoil_after(monkeypatch, calls, (fresh / "p5.mrc").unlink)
    out = tmp_path / "out"
    assert main(words(command, fresh, out, "skip_bad=true")) == 0
    err = capfd.readouterr().err
    assert "Traceback" not in err
    require_consistent(out, "p5.mrc", err)


def require_consistent(out, name, err):
    """List, poses, metrics and verdict tell the same."""
    metrics = json.loads((out / "metrics.json").read_text())
    aside = (out / "set_aside.txt").read_text()
    names = [listed.rpartition("/")[2] for listed in read_star(out / "poses.star")["particles"].columns["rlnImageName"]]
    codes = [one["code"] for one in metrics["verdict"]["findings"]]
    if name in names:
        assert aside == ""
        assert metrics["summary"]["set_aside"] == 0
        assert "set_aside" not in codes
        assert len(names) == COUNT
    else:
        assert name in aside
        assert aside.count("\n") == metrics["summary"]["set_aside"] == 1
        assert "set_aside" in codes
        assert len(names) == COUNT - 1
        assert name in err


@pytest.mark.parametrize("command", ["align", pytest.param("average", marks=pytest.mark.slow)])
def test_without_skip_bad_a_particle_that_vanishes_ends_the_run_in_one_sentence(
    fresh, tmp_path, monkeypatch, capfd, command
):
    spoil_after(monkeypatch, 5, (fresh / "p5.mrc").unlink)
    assert main(words(command, fresh, tmp_path / "out")) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("torchsag: ")]
    assert "p5.mrc" in line
    assert not (tmp_path / "out" / "poses.star").exists()


@pytest.mark.parametrize(
    "command", ["align", *(pytest.param(command, marks=pytest.mark.slow) for command in ("average", "classify"))]
)
def test_a_disk_that_goes_away_ends_the_run_in_one_sentence(fresh, tmp_path, monkeypatch, capfd, command):
    """All particles at once, as a network drive does."""
    spoil_after(monkeypatch, 5, lambda: [path.unlink() for path in fresh.glob("p*.mrc")])
    assert main(words(command, fresh, tmp_path / "out", "skip_bad=true")) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("torchsag: ")]
    assert ".mrc" in line
    assert not (tmp_path / "out" / "poses.star").exists()


class Killed(BaseException):
    """The run ends here."""


@pytest.fixture
def listed(fresh):
    """With poses in the list, so that no common average has to be found."""
    rows = (fresh / "list.csv").read_text().splitlines()
    columns = ",rot_deg,tilt_deg,psi_deg"
    text = [rows[0] + columns, *(f"{row},{17 * k},{5 * k},{3 * k}" for k, row in enumerate(rows[1:]))]
    (fresh / "list.csv").write_text("\n".join(text) + "\n")
    return fresh


def classify_words(folder, out, *more):
    given = [word for word in words("classify", folder, out) if not word.startswith(("reference=", "common_iter"))]
    return [*given, "common_iterations=0", "start=listed_poses", *more]


@pytest.fixture
def killed(listed, tmp_path, monkeypatch):
    """A classification killed after its second round."""
    count, save = [0], ClassificationState.save

    def counted(self, where):
        save(self, where)
        count[0] += 1
        if count[0] == 2:
            raise Killed

    with monkeypatch.context() as here:
        here.setattr(ClassificationState, "save", counted)
        with pytest.raises(Killed):
            main(classify_words(listed, tmp_path / "out"))
    return listed


def test_a_killed_classification_carries_on_without_a_particle_that_has_gone(killed, tmp_path, capfd):
    (killed / "p5.mrc").unlink()
    capfd.readouterr()
    assert main(classify_words(killed, tmp_path / "out")) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("torchsag: ")]
    assert "p5.mrc" in line
    assert main(classify_words(killed, tmp_path / "out", "skip_bad=true")) == 0
    require_consistent(tmp_path / "out", "p5.mrc", capfd.readouterr().err)
    assert not (tmp_path / "out" / ".checkpoint").exists()


def test_a_killed_classification_does_not_carry_on_with_another_particle_of_the_same_name(killed, tmp_path, capfd):
    shutil.copy(killed / "p6.mrc", killed / "p5.mrc")
    capfd.readouterr()
    assert main(classify_words(killed, tmp_path / "out", "skip_bad=true")) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("torchsag: ")]
    assert "p5.mrc has been changed" in line
    assert "resume=false" in line


def test_a_killed_classification_whose_disk_has_gone_ends_in_one_sentence(killed, tmp_path, capfd):
    for number in range(1, COUNT):
        (killed / f"p{number}.mrc").unlink()
    capfd.readouterr()
    assert main(classify_words(killed, tmp_path / "out", "skip_bad=true")) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("torchsag: ")]
    assert "too few for 2 classes" in line
    assert (tmp_path / "out" / ".checkpoint" / "state.npz").exists()
