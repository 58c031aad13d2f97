"""Small sets of particles on disk."""

import numpy as np
import pytest

from torchsag.io.mrc import write_mrc


@pytest.fixture
def write_volumes(tmp_path):
    """Write p0.mrc, p1.mrc, ... of one box and voxel size; returns the folder."""

    def write(count=3, n=6, voxel_size=4.0, folder=tmp_path):
        folder.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(2)
        for k in range(count):
            write_mrc(folder / f"p{k}.mrc", generator.normal(size=(n, n, n)), voxel_size)
        return folder

    return write


@pytest.fixture
def wedge_file():
    """Write a centred binary wedge as a weight volume."""

    def write(path, n=6):
        weight = np.ones((n, n, n), dtype=np.float32)
        weight[0] = 0
        write_mrc(path, weight, 4.0)

    return write
