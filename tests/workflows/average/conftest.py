"""Particles some degrees from their true poses, and an average that mends them."""

import pytest
import torch
from averaging_particles import LOCAL, write_particles

from torchsag.averaging.mask import SphericalMask
from torchsag.averaging.starts import ListedPoses
from torchsag.io import read_particles, write_poses
from torchsag.simulation.structures import GroelPhantom
from torchsag.workflows.average.command import Average


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    true = write_particles(folder, GroelPhantom(), 12, 0.3)
    # Poses some degrees off, for a local search to mend.
    generator = torch.Generator().manual_seed(1)
    off = torch.cat([0.05 * torch.randn(12, 3, generator=generator), 0.5 * torch.randn(12, 3, generator=generator)], -1)
    write_poses(folder / "near.star", read_particles(str(folder / "blind.csv")), true.retract(off))
    return folder


@pytest.fixture
def settings(data, tmp_path):
    return Average(
        particles=str(data / "near.star"),
        out=str(tmp_path / "out"),
        method=LOCAL,
        start=ListedPoses(),
        symmetry="D7",
        mask=SphericalMask(diameter_angstrom=250.0, edge_angstrom=40.0),
        truth=str(data / "true.star"),
        iterations=2,
        parts=1,
        chunk=4,
        device="cpu",
    )
