"""Agreement of divisions, and whether a division follows the missing wedge."""

import pytest
import torch

from torchsag.errors import InputError
from torchsag.evaluation.class_agreement import adjusted_rand_index, confusion, matched
from torchsag.evaluation.wedge_dependence import wedge_dependence
from torchsag.geometry import Poses, Symmetry, random_rotations


def test_rand_index_of_a_worked_example():
    """From its definition, by counting pairs."""
    first = torch.tensor([1, 1, 1, 1, 2, 2])
    second = torch.tensor([1, 1, 2, 2, 2, 2])
    pairs = {"both": 1 + 1 + 1, "first": 6 + 1, "second": 1 + 6, "all": 15}
    expected = pairs["first"] * pairs["second"] / pairs["all"]
    by_hand = (pairs["both"] - expected) / ((pairs["first"] + pairs["second"]) / 2 - expected)
    assert adjusted_rand_index(first, second) == pytest.approx(by_hand)


def test_rand_index_does_not_depend_on_names_and_is_zero_by_chance():
    labels = torch.arange(300) % 3
    assert adjusted_rand_index(labels, 7 - labels) == 1.0
    generator = torch.Generator().manual_seed(0)
    chance = [adjusted_rand_index(labels, labels[torch.randperm(300, generator=generator)]) for _ in range(50)]
    assert abs(sum(chance) / 50) < 0.01
    assert adjusted_rand_index(torch.zeros(5).long(), torch.zeros(5).long()) == 1.0


def test_confusion_and_matching():
    first, second = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([5, 5, 3, 3, 3])
    assert confusion(first, second).tolist() == [[0, 2], [2, 0], [1, 0]]
    assert matched(first, second).tolist()[:4] == [5, 5, 3, 3]
    assert int(matched(first, second)[4]) not in (3, 5)
    with pytest.raises(InputError, match="two labels for each particle"):
        confusion(first[:0], second[:0])


def test_wedge_dependence_tells_orientation_classes_from_others():
    rotations = random_rotations(200, torch.Generator().manual_seed(0))
    poses = Poses(rotations, torch.zeros(200, 3))
    tilted = (rotations[:, 2, 2].abs() > 0.5).long()
    assert wedge_dependence(poses, tilted, Symmetry("C7"), 199).p_value <= 0.01
    fair = wedge_dependence(poses, torch.arange(200) % 3, Symmetry("C7"), 199)
    assert fair.p_value > 0.05
    assert fair.explained < 3 * fair.expected
