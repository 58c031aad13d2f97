"""``torchsag average`` shared by two ranks, played by two threads, gives what one process gives."""

from dataclasses import replace

import pytest
import torch
from thread_ranks import on_ranks

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging.mask import SphericalMask
from torchsag.io import read_map, read_particles, write_map, write_poses
from torchsag.particles import DensityMap
from torchsag.runs.provenance import Provenance
from torchsag.search.local_grid import LocalGrid
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import RibosomePhantom
from torchsag.workflows.average.command import Average

N, VOXEL = 24, 14.0


@pytest.fixture
def settings(tmp_path):
    structure = RibosomePhantom().density(N, VOXEL)
    particles, true = simulate_particles(structure, 9, 0.5, max_shift=1.0, seed=0)
    rows = ""
    for name, volume in zip(particles.names, particles.volumes, strict=True):
        write_map(tmp_path / f"{name}.mrc", DensityMap(volume, VOXEL))
        rows += f"{name}.mrc,-60,60\n"
    (tmp_path / "blind.csv").write_text("volume,tilt_min_deg,tilt_max_deg\n" + rows)
    write_map(tmp_path / "reference.mrc", structure)
    write_poses(tmp_path / "true.star", read_particles(str(tmp_path / "blind.csv")), true)
    return Average(
        particles=str(tmp_path / "true.star"),
        out=str(tmp_path / "one"),
        reference=str(tmp_path / "reference.mrc"),
        method=CurvatureSAGAligner(search=LocalGrid(cone_deg=10.0, max_shift=3.0), keep=(), passes=(2.0,)),
        mask=SphericalMask(diameter_angstrom=280.0, edge_angstrom=40.0),
        iterations=2,
        parts=2,
        chunk=2,
        device="cpu",
    )


def test_two_ranks_make_the_maps_of_one(settings, tmp_path):
    settings(Provenance("average"))
    run = replace(settings, out=str(tmp_path / "two"))
    outcomes = on_ranks(2, lambda workers: replace(run, parallel=workers)(Provenance("average")))
    assert outcomes[0].rows
    assert not outcomes[1].rows
    for name in ("half1.mrc", "half2.mrc", "average.mrc"):
        one, two = (read_map(tmp_path / folder / name).density for folder in ("one", "two"))
        torch.testing.assert_close(one, two, atol=1e-4 * float(one.abs().max()), rtol=1e-3)
