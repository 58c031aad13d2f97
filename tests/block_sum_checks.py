"""Problems in two precisions, and when their sums agree: for every kernel that is held against the reference."""

from dataclasses import replace

import torch
from blobs import Blobs
from fourier_problems import noisy, some_poses

from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable


def single_precision(blocks, particles=3, num_weights=2, box=16, shell=6, count=7):
    blobs = Blobs(box)
    band = FourierBand.of(box, shell, blocks)
    observed, _ = noisy(blobs, particles, band, num_weights)
    table = FourierTable.from_density(blobs.density(), shell).rounded  # as kernels read it
    poses = some_poses(count, seed=3)
    return table, band, observed, poses, torch.arange(count) % particles


def assert_close_by_component(found, expected, tolerance=1e-5):
    """Relative to the norms of the vectors whose products the sums are: some products vanish."""
    cross, energy, gram = expected[..., :1].abs().amax(), expected[..., 1].amax(), expected[..., 14:].amax((0, 1))
    rows, columns = torch.triu_indices(6, 6)
    derivative = gram[rows == columns].sqrt()
    scale = torch.cat(
        [
            torch.stack([cross, energy]),
            derivative * cross / energy.sqrt(),
            derivative * energy.sqrt(),
            derivative[rows] * derivative[columns],
        ]
    )
    worst = ((found.double() - expected).abs() / scale).amax((0, 1))
    assert float(worst.max()) < tolerance, worst


def of_two_maps(count=7):
    """Each particle an image of one of two maps; beside the problem the tables of both."""
    table, band, observed, poses, particle = single_precision(4, count=count)
    other = FourierTable.from_density(Blobs(16).density().flip(0), 6).rounded
    maps = torch.tensor([1, 0, 1])
    problem = (band, replace(observed, maps=maps), poses, particle)
    return FourierTable.stacked([table, other]), problem, maps[particle], (table, other)
