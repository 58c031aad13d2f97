"""Small simulated particles on disk, and a short average of them, for the tests of ``torchsag average``."""

import json

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.io import read_particles, write_map, write_poses
from torchsag.particles import DensityMap
from torchsag.runs.provenance import Provenance
from torchsag.search.local_grid import LocalGrid
from torchsag.simulation import simulate_particles

N, VOXEL = 24, 14.0
LOCAL = CurvatureSAGAligner(search=LocalGrid(cone_deg=10.0, max_shift=3.0), keep=(), passes=(2.0,))


def write_particles(folder, structure, count, snr, seed=0):
    """Particles on disk; the true poses as a list, and a list without poses."""
    reference = structure.density(N, VOXEL)
    particles, true = simulate_particles(reference, count, snr, max_shift=1.0, seed=seed)
    for name, volume in zip(particles.names, particles.volumes, strict=True):
        write_map(folder / f"{name}.mrc", DensityMap(volume, VOXEL))
    rows = "".join(f"{name}.mrc,-60,60\n" for name in particles.names)
    (folder / "blind.csv").write_text("volume,tilt_min_deg,tilt_max_deg\n" + rows)
    write_poses(folder / "true.star", read_particles(str(folder / "blind.csv")), true)
    write_map(folder / "reference.mrc", reference)
    return true


def averaged(settings):
    return settings(Provenance("average", "note: a test\n"))


def metrics_of(settings, tmp_path):
    return json.loads((tmp_path / "out" / "metrics.json").read_text())
