"""Very small boxes are noted, others not."""

import pytest

from torchsag.verdict.small_box import SmallBox


@pytest.mark.parametrize("box", [(16, 16, 16), (17, 17, 17), (32, 32, 17)])
def test_a_small_box_is_noted(box):
    finding = SmallBox()(box)
    assert finding is not None
    assert (finding.code, finding.severity) == ("small_box", "note")
    assert f"boxes of {min(box)} voxels" in finding.text


def test_eighteen_voxels_are_enough():
    assert SmallBox()((18, 18, 18)) is None
