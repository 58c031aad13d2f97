import pytest
import torch

from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Poses, random_rotations
from torchsag.spectra.gather_tables import GatherTables
from torchsag.spectra.tables import Sphere


@pytest.mark.parametrize("n", [19, 20])
def test_tables_of_a_few_shells_read_the_same_numbers(n):
    generator = torch.Generator().manual_seed(1)
    spectra = to_half_spectrum(torch.randn(4, n, n, n, generator=generator))
    weights = torch.rand(3, n, n, n // 2 + 1, generator=generator)
    index = torch.tensor([2, 0, 2, 0])
    poses = Poses(random_rotations(4, generator), torch.randn(4, 3, generator=generator))
    points = Sphere.up_to(n, 4).index
    whole, small = (GatherTables.of(spectra, weights, index, last) for last in (None, 4))
    assert small.spectra[0].numel() < whole.spectra[0].numel()
    for part in (slice(0, 4), slice(1, 3)):
        for one, other in zip(whole[part].at(poses[part], points), small[part].at(poses[part], points), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(one.abs().max()))
