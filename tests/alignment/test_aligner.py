import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.geometry import Poses


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
