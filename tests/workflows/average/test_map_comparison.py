import pytest
import torch

from torchsag.averaging.frames import bring_back
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.imaging.masks import spherical_mask
from torchsag.particles import DensityMap
from torchsag.simulation.structures import RibosomePhantom
from torchsag.workflows.average.map_comparison import compare_with_map

N, VOXEL = 24, 14.0


@pytest.mark.parametrize("hand", ["same", "mirrored"])
def test_a_turned_noisy_map_is_recognised_with_its_hand(hand):
    truth = RibosomePhantom().density(N, VOXEL)
    placement = Poses(random_rotations(1, torch.Generator().manual_seed(3)), torch.tensor([[0.7, -0.5, 0.3]]))
    turned = bring_back(truth if hand == "same" else truth.mirrored(), placement)
    noise = 0.2 * float(truth.density.std()) * torch.randn(N, N, N, generator=torch.Generator().manual_seed(0))
    found = compare_with_map(
        DensityMap(turned.density + noise, VOXEL), truth, spherical_mask((N, N, N)), Symmetry("C1"), 40.0
    )
    right, wrong = (found.correlation, found.mirrored) if hand == "same" else (found.mirrored, found.correlation)
    assert right > 0.95
    assert wrong < right - 0.02
    if hand == "same":
        assert found.fsc.resolution(0.5, curve="masked") < 40.0


@pytest.mark.parametrize("n", [7, 8])
def test_a_mirror_image_keeps_the_centre_and_undoes_itself(n):
    volume = DensityMap(torch.randn(n, n, n, generator=torch.Generator().manual_seed(0)), 1.0)
    mirrored = volume.mirrored()
    assert mirrored.density[0, 0, n // 2] == volume.density[0, 0, n // 2]
    assert mirrored.density[1, 2, n // 2 + 1] == volume.density[1, 2, n // 2 - 1]
    assert torch.equal(mirrored.mirrored().density, volume.density)
