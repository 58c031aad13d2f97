"""How far refinement may move."""

import math

import torch

from torchsag.geometry import Poses, Symmetry
from torchsag.search.candidates import Candidates, Limits


def _limits(symmetry="C1"):
    return Limits(Poses.identity(2), math.radians(10), 2.0, Symmetry(symmetry))


def _poses(*moves):
    return Poses.identity(len(moves)).retract(torch.tensor(moves, dtype=torch.float32))


def test_angle_and_shift_both_count():
    turn, over = math.radians(9), math.radians(11)
    poses = _poses((turn, 0, 0, 0, 0, 0), (0, over, 0, 0, 0, 0), (0, 0, turn, 1.9, 0, 0), (0, 0, 0, 1.5, 1.5, 0))
    assert _limits().allow(poses, torch.zeros(4, dtype=torch.long)).tolist() == [True, False, True, False]


def test_angles_are_modulo_symmetry():
    quarter = _poses((0, 0, math.pi / 2, 0, 0, 0))
    assert _limits("C4").allow(quarter, torch.tensor([1])).tolist() == [True]
    assert _limits("C1").allow(quarter, torch.tensor([1])).tolist() == [False]


def test_each_pose_is_held_to_its_own_particle():
    centres = _poses((0, 0, 0, 0, 0, 0), (1.0, 0, 0, 5.0, 0, 0))
    limits = Limits(centres, 0.1, 1.0, Symmetry("C1"))
    assert limits.allow(centres[torch.tensor([1, 1])], torch.tensor([1, 0])).tolist() == [True, False]


def test_candidates_one_after_another_and_back():
    centres = _poses((0, 0, 0, 0, 0, 0), (1.0, 0, 0, 5.0, 0, 0), (0, 1.0, 0, 0, 0, 2.0))
    limits = Limits(centres, 0.1, 1.0, Symmetry("C1"))
    whole = Candidates(Poses(centres.rotations[:, None], centres.shifts[:, None]), torch.arange(3.0)[:, None], limits)
    turned = Candidates.concatenate([whole[torch.tensor([2])], whole[torch.tensor([1, 0])]])
    assert turned.scores[:, 0].tolist() == [2, 1, 0]
    assert torch.equal(turned.limits.centres.shifts, turned.poses.shifts[:, 0])
    assert torch.equal(turned[torch.tensor([2, 1, 0])].poses.rotations, whole.poses.rotations)
