import pytest
import torch

from torchsag.bench.entry import read_entry
from torchsag.errors import InputError

HEAD = "data_particles\n\nloop_\n_rlnImageName\n_rlnPixelSize\n"
POSES = (
    "_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n_rlnOriginXAngst\n_rlnOriginYAngst\n_rlnOriginZAngst\n_rlnClassNumber\n"
)


def listed(path, task, rows, head=HEAD + POSES, folder="elsewhere/"):
    lines = [f"{folder}{task.particle_name(row)} 10 {row} 40 50 -20 10 0 {1 + row % 2}" for row in rows]
    path.write_text(head + "\n".join(lines) + "\n")
    return path


def test_rows_come_by_name_whatever_order_and_folder(tmp_path, aligned):
    task = aligned.task
    entry = read_entry(listed(tmp_path / "poses.star", task, [5, 2, 9]), task)
    assert torch.nonzero(entry.listed)[:, 0].tolist() == [2, 5, 9]
    assert torch.rad2deg(entry.poses.zyz[[2, 5, 9], 0]).tolist() == pytest.approx([2, 5, 9])
    assert entry.poses.shifts[5].tolist() == pytest.approx([2, -1, 0])
    assert entry.classes is not None
    assert entry.classes[[2, 5, 9, 0]].tolist() == [1, 2, 2, 0]
    assert entry.covariances is None


def test_particles_of_another_task_are_refused(tmp_path, aligned, averaged):
    path = listed(tmp_path / "poses.star", averaged.task, [0])
    with pytest.raises(
        InputError, match=r"expected particles of task align_easy, such as .*got elsewhere/average_easy_0"
    ):
        read_entry(path, aligned.task)


def test_a_particle_listed_twice_is_refused(tmp_path, aligned):
    path = listed(tmp_path / "poses.star", aligned.task, [3], folder="a/")
    path.write_text(path.read_text() + path.read_text().splitlines()[-1].replace("a/", "b/") + "\n")
    with pytest.raises(InputError, match=r"each particle once, got align_easy_000003.mrc 2 times"):
        read_entry(path, aligned.task)


def test_what_is_asked_for_must_be_there(tmp_path, aligned, classified):
    for problem, what in ((aligned, "a pose for every particle"), (classified, "rlnClassNumber")):
        path = tmp_path / "bare.star"
        path.write_text(f"{HEAD}{problem.task.particle_name(0)} 10\n")
        with pytest.raises(InputError, match=what):
            read_entry(path, problem.task)
