import numpy as np
import torch
from PIL import Image

from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.runs.fsc_picture import draw_fsc


def _fsc(corrected):
    level = {
        name: torch.full((17,), value) for name, value in (("unmasked", 0.8), ("masked", 0.6), ("randomised", 0.0))
    }
    return HalfMapFSC(**level, corrected=corrected, first_random_shell=4, box=(32, 32, 32), voxel_size=5.0)


def _rows(path, colour, column):
    """Where a column of the picture has nearly a colour."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    wanted = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)])
    return (np.abs(pixels[:, column] - wanted).max(-1) < 40).nonzero()[0]


def test_curves_stand_at_their_values(tmp_path):
    draw_fsc(tmp_path / "fsc.png", _fsc(torch.full((17,), 0.4)))
    at = [_rows(tmp_path / "fsc.png", colour, 200).mean() for colour in ("#4477aa", "#aa8833", "#117733")]
    steps = np.diff(at)
    assert steps[0] > 20  # 0.8 stands above 0.6
    np.testing.assert_allclose(steps, steps[0], atol=1.5)  # and 0.6 above 0.4 by as much


def test_what_is_no_number_leaves_a_gap_and_what_is_too_low_stands_at_the_edge(tmp_path):
    corrected = torch.linspace(1, -3, 17)
    corrected[5] = float("nan")
    others = {"oracle": torch.full((17,), float("nan")), "oracle_truth": torch.linspace(1, 0.5, 17)}
    draw_fsc(tmp_path / "fsc.png", _fsc(corrected), others)
    bottom = _rows(tmp_path / "fsc.png", "#117733", 600)
    assert len(bottom)
    assert bottom.min() > 415
