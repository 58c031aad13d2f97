import dataclasses

import numpy as np
import pytest

from torchsag.bench.fingerprint import published
from torchsag.bench.task import TASKS, task_named
from torchsag.bench.truth import Truth, draw
from torchsag.errors import InputError


def test_there_are_four_kinds_of_three_difficulties():
    kinds = {(task.kind, task.difficulty) for task in TASKS}
    assert len(kinds) == len(TASKS) == 12
    assert len({task.seed for task in TASKS}) == 12


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_recipe_and_truth_are_those_published(task):
    expected = published(task)
    assert task.recipe_digest == expected.recipe
    assert draw(task).digest == expected.truth


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(TASKS[0])])
def test_every_field_changes_the_hash(name):
    task = TASKS[1]
    changed = {"kind": "average", "difficulty": "hard", "structures": ("groel",), "symmetry": "C2"}
    field = getattr(task, name)
    value = changed[name] if name in changed else not field if isinstance(field, bool) else type(field)(77)
    assert dataclasses.replace(task, **{name: value}).recipe_digest != task.recipe_digest


def test_poses_are_whole_thousandths_and_fill_the_ball():
    truth = draw(TASKS[0])
    zyz, shifts = np.rad2deg(truth.poses.zyz.numpy()), truth.poses.shifts.numpy()
    assert np.abs(zyz * 1000 - np.rint(zyz * 1000)).max() < 1e-6
    assert np.abs(shifts * 1000 - np.rint(shifts * 1000)).max() < 1e-9
    radius = np.linalg.norm(shifts, axis=1)
    assert 2.3 < radius.max() < 2.5
    assert radius.mean() == pytest.approx(0.75 * 2.5, rel=0.1)


def test_the_digest_sees_one_thousandth():
    truth = draw(TASKS[0])
    table = truth.table.copy()
    table[50, 2] += 1
    assert Truth(table).digest != truth.digest


def test_classes_have_about_equal_shares():
    counts = np.bincount(draw(task_named("classify_hard")).classes.numpy())
    assert counts[0] == 0
    assert counts[1:].sum() == 100
    assert counts[1:].min() > 35


def test_particles_do_not_depend_on_how_many_are_drawn():
    task = TASKS[0]
    assert np.array_equal(draw(task, 90, 20).table[:10], draw(task).table[90:])


def test_an_unknown_task_is_refused_with_the_names():
    with pytest.raises(InputError, match=r"align_easy, .*got 'align_esay'"):
        task_named("align_esay")
