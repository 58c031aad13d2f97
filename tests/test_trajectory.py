"""Snapshots are taken only while somebody listens, and not too many of them."""

from itertools import pairwise

import torch

from torchsag.geometry import Poses
from torchsag.trajectory import Trajectory, note


def standing():
    return Poses.identity(2), torch.arange(2)


def test_nobody_asks_where_nobody_listens():
    note(1.0, lambda: 1 / 0)


def test_snapshots_lie_apart_and_end_with_the_listener():
    with Trajectory() as trajectory:
        for passes in range(1, 41):
            note(torch.tensor(float(passes)), standing)
    note(100.0, standing)
    taken = [snapshot.passes for snapshot in trajectory.snapshots]
    assert taken[0] == 1
    assert taken[-1] > 30
    assert all(later >= 1.25 * earlier for earlier, later in pairwise(taken))
    assert len(taken) < 16
    assert torch.equal(trajectory.snapshots[0].particle, torch.arange(2))
