import json
import re

import numpy as np
import pytest
import torch

from torchsag.io import write_map
from torchsag.particles import DensityMap
from torchsag.report.average import AveragePage

COUNT = 4


@pytest.fixture
def finished_run(tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.random(COUNT).tolist()
    table = dict.fromkeys(("score", "rotation_sigma_deg", "shift_sigma_angstrom", "view_longitude_deg"), numbers)
    table |= {"view_latitude_deg": numbers, "name": ["<p>"] * COUNT, "fault": [""] * COUNT, "half": [1, 2, 1, 2]}
    crossings = {"resolution_0.143_angstrom": 24.64, "resolution_0.5_angstrom": 31.0}
    row = {"iteration": 1, "median_change_deg": 1.0, **crossings}
    metrics = {"summary": {"particles": COUNT, "set_aside": 1, "best_iteration": 1, **crossings}, "iterations": [row]}
    metrics |= {"symmetry": "D2", "voxel_size_angstrom": 10.0, "versions": {"torch": "2"}, "particles": table}
    metrics["verdict"] = {"trust": "yes", "findings": []}
    images = rng.random((3, 16, 16))
    arrays = {"final": images, "local resolution": 20 + 10 * images, "iteration 1": images}
    np.savez(tmp_path / "slices.npz", **arrays)
    shells = "".join(f"{i},{160 / i:.3f},{1 - i / 9},{1 - i / 9}\n" for i in range(1, 9))
    (tmp_path / "fsc.csv").write_text(f"shell,resolution_angstrom,unmasked,corrected\n0,inf,1,1\n{shells}")
    mask = torch.zeros(16, 16, 16)
    mask[4:12, 4:12, 4:12] = 1
    for name in ("mask.mrc", "average.mrc"):
        write_map(tmp_path / name, DensityMap(mask, 10.0))
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    return tmp_path, images


def test_first_screen_has_verdict_map_resolution_and_next_steps_in_this_order(finished_run):
    folder, images = finished_run
    AveragePage()(folder)
    page = (folder / "report.html").read_text()
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings[0].endswith("3 particles, 24.6 Å at FSC 0.143.")
    assert headings[1:4] == ["The map", "Resolution", "What to do next"]
    assert headings[-1] == "How it was made"
    assert "1 particle was set aside" in page
    assert "_angstrom" not in page
    assert "_deg" not in page
    inside = 20 + 10 * images[:, 4:12, 4:12]
    assert f"from {inside.min():.1f} to {inside.max():.1f} Å" in page


def test_page_does_without_maps_that_were_moved_away(finished_run):
    folder, _ = finished_run
    for name in ("mask.mrc", "average.mrc"):
        (folder / name).unlink()
    AveragePage()(folder)
    assert "Surfaces at" not in (folder / "report.html").read_text()
