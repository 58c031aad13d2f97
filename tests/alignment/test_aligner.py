from dataclasses import replace

import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.geometry import Poses
from torchsag.likelihood.modes import PoseModes


def some_result(count=3):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(count, *shape, generator=generator)  # noqa: E731
    return AlignmentResult(Poses(draw(3, 3), draw(3)), draw(), draw(6, 6), draw(), draw() > 0, draw())


def test_a_result_survives_as_columns():
    result = some_result()
    again = AlignmentResult.from_columns({**result.columns(), "fault": None})
    assert torch.equal(again.poses.rotations, result.poses.rotations)
    assert torch.equal(again.poses.shifts, result.poses.shifts)
    assert torch.equal(again.converged, result.converged)
    assert torch.equal(again.covariances, result.covariances)


def with_modes(result: AlignmentResult) -> AlignmentResult:
    count = len(result)
    poses = Poses(torch.eye(3).expand(count, 2, 3, 3), torch.arange(6.0 * count).view(count, 2, 3))
    gain, amplitude, share = torch.arange(6.0 * count).view(3, count, 2)
    return replace(result, modes=PoseModes(poses, gain, amplitude, share))


def test_modes_go_where_their_particles_go():
    result = with_modes(some_result())
    again = AlignmentResult.from_columns(result.columns())
    for name in ("gain", "amplitude", "log_share"):
        assert torch.equal(getattr(again.modes, name), getattr(result.modes, name))
    picked = AlignmentResult.concatenate([result[torch.tensor([2])], result[torch.tensor([0, 1])]])
    assert torch.equal(picked.modes.poses.shifts, result.modes.poses.shifts[[2, 0, 1]])
    assert AlignmentResult.concatenate([result, some_result()]).modes is None


def test_what_is_told_from_another_centre_is_moved_with_all_its_modes():
    result, shifts = with_modes(some_result()), torch.tensor([[1.0, 2.0, 3.0]]).expand(3, 3)
    moved = result.moved(shifts)
    assert torch.equal(moved.poses.shifts, result.poses.shifts + shifts)
    assert torch.equal(moved.modes.poses.shifts, result.modes.poses.shifts + shifts[:, None])
