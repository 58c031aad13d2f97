"""Whatever is wrong with some particles, the others are aligned, and the bad ones are named."""

import csv
import json
import os

import numpy as np
import pytest
from small_data import BOX, VOXEL, align_words, write_set

from torchsag.app.main import main
from torchsag.errors import printable
from torchsag.io.mrc import read_mrc, write_mrc

QUICK = ["threads=1", "~report", "device=cpu", "chunk=4"]


def truncated(path):
    path.write_bytes(path.read_bytes()[:2000])


def empty(path):
    path.write_bytes(b"")


def vanished(path):
    path.unlink()


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def circular(path):
    path.unlink()
    path.symlink_to(path)


def nonsense(path):
    path.write_bytes(b"\xff" * 5000)


def huge(path):
    write_mrc(path, 1e20 * read_mrc(path), VOXEL)


def one_huge_voxel(path):
    volume = read_mrc(path)
    volume[3, 3, 3] = 1e30
    write_mrc(path, volume, VOXEL)


def tiny(path):
    write_mrc(path, 1e-25 * read_mrc(path), VOXEL)


def not_finite(path):
    volume = read_mrc(path)
    volume[3, 3, 3] = np.nan
    write_mrc(path, volume, VOXEL)


def flat(path):
    write_mrc(path, np.ones((BOX, BOX, BOX)), VOXEL)


COUNT = 17
SPOILERS = [
    truncated, empty, vanished, a_folder, a_pipe, a_device, circular, nonsense, huge, one_huge_voxel, tiny, not_finite,
    flat,
]  # fmt: skip


def test_all_kinds_of_bad_particles_are_set_aside_by_name(fresh, tmp_path, capfd):
    """The first is among them: nothing may hang on it."""
    kinds = SPOILERS
    for number, spoil in enumerate(kinds):
        spoil(fresh / f"p{number}.mrc")
    out = tmp_path / "out"
    assert main(align_words(fresh, out, "skip_bad=true", *QUICK)) == 0
    lines = (out / "set_aside.txt").read_text().splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == [f"p{number}.mrc" for number in range(len(kinds))]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["summary"]["set_aside"] == len(kinds)
    assert metrics["summary"]["aligned"] == COUNT - len(kinds)
    (found,) = [one for one in metrics["verdict"]["findings"] if one["code"] == "set_aside"]
    assert found["evidence"] == {"particles": len(kinds), "of": COUNT}
    assert "p0.mrc" in found["text"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["average", "iterations=1"],
     ["classify", "classes=2", "repeats=1", "common_iterations=1", "class_alignments=0", "resolution_angstrom=40"]],
)  # fmt: skip
def test_average_and_classify_go_without_all_kinds_of_bad_particles(tmp_path, words):
    folder, out = tmp_path / "p", tmp_path / "out"
    write_set(folder, 24)
    for number, spoil in enumerate(SPOILERS):
        spoil(folder / f"p{number}.mrc")
    command, *own = words
    given = [f"particles={folder / 'list.csv'}", f"reference={folder / 'reference.mrc'}", f"out={out}"]
    assert main([command, *given, *own, "skip_bad=true", *QUICK]) == 0
    lines = (out / "set_aside.txt").read_text().splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == [f"p{number}.mrc" for number in range(len(SPOILERS))]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["summary"]["set_aside"] == len(SPOILERS)
    (found,) = [one for one in metrics["verdict"]["findings"] if one["code"] == "set_aside"]
    assert found["evidence"] == {"particles": len(SPOILERS), "of": 24}


@pytest.mark.parametrize(
    "spoil",
    [pytest.param(s, marks=pytest.mark.slow) if s in (one_huge_voxel, tiny, flat) else s for s in SPOILERS],
)
def test_one_bad_particle_ends_a_strict_run_in_one_sentence(fresh, tmp_path, capfd, spoil):
    spoil(fresh / "p3.mrc")
    assert main(align_words(fresh, tmp_path / "out", *QUICK)) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("torchsag: ")]
    assert "p3.mrc" in line


def with_weights(folder, values):
    """Give every particle a weight of its own; `values` spoils the last one's."""
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["volume", "weight"])
        for number in range(COUNT):
            weight = np.ones((BOX, BOX, BOX), np.float32)
            write_mrc(folder / f"w{number}.mrc", values * weight if number == 16 else weight, VOXEL)
            writer.writerow([f"p{number}.mrc", f"w{number}.mrc"])


@pytest.mark.parametrize(
    "value",
    [1e38, *(pytest.param(value, marks=pytest.mark.slow) for value in (1e-30, 0.0, np.nan, np.inf, -1.0))],
)
def test_unusable_weights_are_named_or_set_aside(fresh, tmp_path, capfd, value):
    with_weights(fresh, value)
    assert main(align_words(fresh, tmp_path / "out", *QUICK)) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("torchsag: ")]
    assert "p16.mrc" in line
    assert "w16.mrc" in line
    if value == 1e38:
        assert main(align_words(fresh, tmp_path / "out", "skip_bad=true", *QUICK)) == 0
        assert "p16.mrc" in (tmp_path / "out" / "set_aside.txt").read_text()


@pytest.mark.parametrize("scale", [1e-30, 1e34, "voxel", "pipe", "device"])
def test_unusable_references_end_in_one_sentence(fresh, tmp_path, capfd, scale):
    path = fresh / "reference.mrc"
    if scale == "voxel":
        write_mrc(path, np.ones((1, 1, 1)), VOXEL)
    elif scale == "pipe":
        a_pipe(path)
    elif scale == "device":
        a_device(path)
    else:
        write_mrc(path, scale * read_mrc(path).astype(np.float64), VOXEL)
    assert main(align_words(fresh, tmp_path / "out", *QUICK)) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("torchsag: ")]
    assert "reference.mrc" in line


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
@pytest.mark.parametrize("suffix", [".star", ".csv", ".tbl", ".xml", ".em", ".mrc"])
def test_a_pipe_or_device_as_a_list_is_refused_at_once(tmp_path, capfd, make, suffix):
    make(tmp_path / f"list{suffix}")
    assert main(["convert", f"in={tmp_path / f'list{suffix}'}", f"out={tmp_path / 'x.star'}"]) == 2
    assert "expected a file" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-10, 1e-6, 1e6, 1e10])
def test_the_scale_of_particles_and_reference_does_not_matter(tmp_path, scale):
    poses = []
    for name, factor in (("one", 1.0), ("other", scale)):
        write_set(tmp_path / name, 6, factor)
        path = tmp_path / name / "reference.mrc"
        write_mrc(path, factor * read_mrc(path).astype(np.float64), VOXEL)
        assert main(align_words(tmp_path / name, tmp_path / f"{name}-out", *QUICK)) == 0
        poses.append(json.loads((tmp_path / f"{name}-out" / "metrics.json").read_text())["particles"])
    for column, tolerance in (("shift_angstrom", 0.5), ("view_latitude_deg", 0.5)):
        np.testing.assert_allclose(poses[0][column], poses[1][column], atol=tolerance)


def test_results_of_another_command_are_not_overwritten(tmp_path, fresh, capfd):
    out = tmp_path / "out"
    out.mkdir()
    (out / "metrics.json").write_text('{"command": "classify"}')
    assert main(align_words(fresh, out, *QUICK)) == 2
    assert "got results of classify" in capfd.readouterr().err
    assert [path.name for path in out.iterdir()] == ["metrics.json"]


def test_remains_of_killed_processes_are_removed_and_of_living_ones_not(tmp_path):
    from torchsag.io import atomic_path
    from torchsag.runs.output_folder import claim

    with atomic_path(tmp_path / "living") as living:
        living.touch()
        dead = living.with_name(living.name.replace(f"-{os.getpid()}-", "-999999999-"))
        dead.touch()
        (tmp_path / ".mine.tmp").touch()
        with claim(tmp_path):
            pass
        assert living.exists()
        assert not dead.exists()
        assert (tmp_path / ".mine.tmp").exists()


def test_names_reach_the_terminal_without_control_characters(tmp_path, capfd):
    assert main(["convert", f"in={tmp_path}/\x1b]0;owned\x07.star", f"out={tmp_path / 'x.star'}"]) == 2
    assert "\x1b" not in capfd.readouterr().err
    assert printable("Zoë\u202e\x9b1m") == "Zoë\\u202e\\x9b1m"
