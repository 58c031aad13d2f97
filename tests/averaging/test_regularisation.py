import pytest
import torch

from torchsag.averaging import MapSums
from torchsag.averaging.regularisation import Regularisation, ShellWeight, Wiener
from torchsag.errors import InputError
from torchsag.fourier import half_shells, to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations

N = 20
C1 = Symmetry("C1")


def _sums(blobs, count, tilt_deg, noise=0.0):
    poses = Poses(random_rotations(count, torch.Generator().manual_seed(0)), torch.zeros(count, 3))
    sums = MapSums.empty((N, N, N), 6.0, groups=2)
    sums.add(blobs(5.0).particles(poses, N, tilt_deg, noise), poses, torch.arange(count) % 2)
    return sums


@pytest.mark.parametrize("rule", [ShellWeight(), Wiener()])
def test_shells_without_trust_are_empty_and_each_group_has_its_reference(blobs, rule):
    assert isinstance(rule, Regularisation)
    trust = torch.zeros(N // 2 + 1)
    trust[:5] = 1.0
    made = rule(_sums(blobs, 6, 60.0), C1, trust)
    assert len(made) == 2
    spectrum = to_half_spectrum(made[0].density).abs()
    shells = half_shells((N, N, N))
    assert float(spectrum[shells >= 6].max()) < 1e-4 * float(spectrum[shells < 5].max())


def test_with_even_coverage_both_rules_agree(blobs):
    trust = torch.linspace(1.0, 0.5, N // 2 + 1)
    sums = _sums(blobs, 4, 90.0)
    first, second = (rule(sums, C1, trust)[0].density for rule in (ShellWeight(), Wiener()))
    error = (first - second).norm() / first.norm()
    assert float(error) < 0.02


def test_wiener_damps_the_badly_measured_directions_more(blobs):
    sums = _sums(blobs, 6, 60.0)
    trust = torch.full((N // 2 + 1,), 0.3)
    plain, damped = (to_half_spectrum(rule(sums, C1, trust)[0].density).abs() for rule in (ShellWeight(), Wiener()))
    seen, near = sums._to_half(sums.denominator)[0], half_shells((N, N, N)) < 8
    well, badly = near & (seen > 2.9), near & (seen < 1.2) & (seen > 0.3)
    assert float((damped[badly] / plain[badly]).median()) < 0.8 * float((damped[well] / plain[well]).median())


def test_impossible_floors_are_refused():
    for rule in (ShellWeight, Wiener):
        with pytest.raises(InputError, match=r"^floor: expected"):
            rule(floor=0.0)
