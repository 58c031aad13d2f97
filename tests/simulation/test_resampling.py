"""Maps brought to another grid."""

import pytest
import torch

from torchsag.errors import InputError
from torchsag.particles import DensityMap
from torchsag.simulation import density_of, groel_phantom
from torchsag.simulation.resampling import resample_map

BLUR = 8.0


@pytest.mark.parametrize(("box", "voxel_size"), [(40, 6.0), (33, 8.0), (64, 4.0)])
def test_agrees_with_the_structure_made_on_the_new_grid(box, voxel_size):
    """Truth: the phantom's density computed on the target grid; densities per volume agree."""
    source = density_of(groel_phantom(), 48, 5.0, BLUR)
    found = resample_map(DensityMap(source.density + 3.0, 5.0), box, voxel_size)
    expected = density_of(groel_phantom(), box, voxel_size, BLUR).density * (5.0 / voxel_size) ** 3
    assert found.voxel_size == voxel_size
    assert float((found.density - expected).norm() / expected.norm()) < 0.01


def test_a_box_too_small_says_which_would_do():
    source = density_of(groel_phantom(), 48, 5.0, BLUR)
    with pytest.raises(InputError, match=r"use box=(\d+)") as refusal:
        resample_map(source, 20, 5.0, "m.mrc")
    needed = int(str(refusal.value).split("box=")[1].split()[0])
    resample_map(source, needed, 5.0)


def test_real_maps_with_permuted_axes_or_odd_boxes_are_accepted(shared_data):
    from torchsag.io import read_map

    source = read_map(shared_data / "maps" / "ribosome70s_65vox_5A.mrc", 5.0)
    assert torch.isfinite(resample_map(source, 48, 8.0).density).all()
