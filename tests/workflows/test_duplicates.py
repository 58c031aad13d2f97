import csv
import json
from dataclasses import replace

import pytest
import torch

from torchsag.errors import InputError
from torchsag.io import write_map
from torchsag.particles import DensityMap
from torchsag.runs.provenance import Provenance
from torchsag.workflows.duplicates import Duplicates

N, VOXEL = 32, 5.0


@pytest.fixture
def settings(tmp_path):
    """Boxes of one noisy tomogram: the third overlaps the first, the fifth is the second again. A copy elsewhere."""
    generator = torch.Generator().manual_seed(0)
    tomogram = torch.randn(N, N, 6 * N, generator=generator)
    structure = 2.0 * torch.exp(-torch.linspace(-4, 4, N).square())
    corners = [0, 2 * N, 8, 4 * N, 2 * N, 5 * N]
    rows = []
    for i, corner in enumerate(corners):
        volume = tomogram[:, :, corner : corner + N] + structure[:, None, None] * structure[:, None] * structure
        write_map(tmp_path / f"p{i}.mrc", DensityMap(volume, VOXEL))
        rows.append(f"p{i}.mrc,-60,60,one,{1 + i % 2}")
    write_map(tmp_path / "p6.mrc", DensityMap(tomogram[:, :, :N].contiguous(), VOXEL))
    rows.append("p6.mrc,-60,60,two,1")
    (tmp_path / "list.csv").write_text("volume,tilt_min_deg,tilt_max_deg,tomogram,half\n" + "\n".join(rows) + "\n")
    return Duplicates(particles=str(tmp_path / "list.csv"), out=str(tmp_path / "out"))


def _pairs(settings, tmp_path):
    outcome = settings(Provenance("duplicates", ""))
    with (tmp_path / "out" / "duplicates.csv").open() as file:
        return list(csv.DictReader(file)), outcome


def test_copies_and_overlaps_within_a_tomogram_are_found(settings, tmp_path):
    pairs, outcome = _pairs(settings, tmp_path)
    assert [(p["first"], p["second"]) for p in pairs] == [("p1.mrc", "p4.mrc"), ("p0.mrc", "p2.mrc")]
    assert float(pairs[0]["correlation"]) == pytest.approx(1.0, abs=1e-3)
    assert float(pairs[0]["shift_x_angstrom"]) == 0
    # Three quarters in common; what lies at x in the second lies 8 voxels further on in the first.
    assert float(pairs[1]["correlation"]) == pytest.approx(0.75, abs=0.15)
    assert float(pairs[1]["shift_x_angstrom"]) == pytest.approx(8 * VOXEL, abs=2 * VOXEL)
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())["summary"]
    assert summary["pairs"] == 2
    assert summary["pairs_across_halves"] == 1
    assert any("by_tomogram" in note for note in outcome.notes)


def test_one_structure_in_independent_noise_is_no_duplicate(settings, tmp_path):
    pairs, _ = _pairs(settings, tmp_path)
    assert len(pairs) == 2


def test_impossible_settings_are_refused(settings):
    with pytest.raises(InputError, match="least_correlation"):
        replace(settings, least_correlation=1.0)
    with pytest.raises(InputError, match="finest_angstrom < coarsest_angstrom"):
        replace(settings, finest_angstrom=60.0, coarsest_angstrom=20.0)(Provenance("duplicates", ""))
