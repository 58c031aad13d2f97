import pytest
import torch

from torchsag.fourier import fourier_shell_correlation, half_shells, shell_sums, to_half_spectrum
from torchsag.fourier.radial import Scrambling, apply_shell_curve


@pytest.mark.parametrize("n", [20, 21])
def test_curve_multiplies_shells_and_ends_with_them(n):
    volume = torch.randn(n, n, n, generator=torch.Generator().manual_seed(0))
    before, after = to_half_spectrum(volume), to_half_spectrum(apply_shell_curve(volume, torch.tensor([1.0, 2.0, 4.0])))
    ratio = (after / before).real
    assert float(ratio[0, 0, 0]) == pytest.approx(1)
    assert float(ratio[0, 0, 1]) == pytest.approx(2, rel=1e-4)
    assert float(ratio[1, 0, 1]) == pytest.approx(2 + 2 * (2**0.5 - 1), rel=1e-3)
    assert float(after[0, 0, 3:].abs().max()) < 1e-3


@pytest.mark.parametrize("n", [20, 21])
def test_random_phases_keep_amplitudes_and_forget_the_rest(n):
    volume = torch.randn(n, n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scrambled = Scrambling.of(volume, 4).draw(torch.Generator().manual_seed(1))
    assert scrambled.shape == volume.shape
    before, after = to_half_spectrum(volume), to_half_spectrum(scrambled)
    torch.testing.assert_close(after.abs(), before.abs())
    inner = half_shells((n, n, n)) < 4
    torch.testing.assert_close(after[inner], before[inner])
    curve = fourier_shell_correlation(before, after, (n, n, n))
    assert float(curve[5:].abs().max()) < 0.35
    assert float(shell_sums(before.abs(), (n, n, n))[0]) > 0
