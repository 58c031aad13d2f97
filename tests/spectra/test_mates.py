import pytest
import torch

from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Symmetry
from torchsag.spectra.mates import mate_sums, mate_sums_torch, reordered, steps_of, sum_reordered
from torchsag.spectra.tables import Sphere, padded_table


def _tables(n, maps=2):
    generator = torch.Generator().manual_seed(0)
    volumes = torch.randn(maps, n, n, n, generator=generator)
    weights = torch.rand(maps, n, n, n // 2 + 1, generator=generator)
    return padded_table(to_half_spectrum(volumes), n), padded_table(weights, n)


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_compiled_sums_are_those_of_torch(n, threads):
    points = Sphere.up_to(n, n // 2 - 1).index
    inputs = (*_tables(n), Symmetry("D3").rotations, points, n)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        value, weight = mate_sums(*inputs)
    finally:
        torch.set_num_threads(before)
    expected, expected_weight = mate_sums_torch(*inputs)
    torch.testing.assert_close(value, expected, atol=2e-5 * float(expected.abs().max()), rtol=1e-4)
    torch.testing.assert_close(weight, expected_weight, atol=1e-5, rtol=1e-5)


def test_a_place_outside_of_the_tables_makes_its_sums_no_number():
    n = 16
    points = Sphere.up_to(n, 2).index[:4] + 3 * n
    for sums in (mate_sums, mate_sums_torch):
        value, weight = sums(*_tables(n), Symmetry("C2").rotations, points, n)
        assert bool(value.isnan().all())
        assert bool(weight.isnan().all())


@pytest.mark.parametrize(
    ("name", "steps"), [("C1", 1), ("C3", 3), ("C4", 1), ("D2", 1), ("D7", 7), ("T", 12), ("O", 1), ("I", 5)]
)
def test_steps_and_exact_rotations_make_each_mate_once(name, steps):
    group = Symmetry(name).rotations
    found, exact = steps_of(group)
    assert len(found) == steps
    products = (found[:, None] @ exact).flatten(0, 1)
    same = (products[:, None] - group).abs().amax((2, 3)) < 1e-6
    assert bool((same.sum(0) == 1).all())
    assert bool((same.sum(1) == 1).all())


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("name", ["D1", "O"])
def test_reordered_coefficients_are_those_of_the_turned_map(n, name):
    sphere = Sphere.up_to(n, (n - 1) // 2)
    volume = torch.randn(n, n, n, generator=torch.Generator().manual_seed(1))
    spectrum = to_half_spectrum(volume).flatten()[sphere.flat]
    axes = torch.arange(n) - n // 2
    grid = torch.stack(torch.meshgrid(axes, axes, axes, indexing="ij"), -1).flip(-1)
    for turn in steps_of(Symmetry(name).rotations)[1]:
        # The map whose coefficient at q is the one at h q here has at x the density at h x here, box faces apart.
        place = (grid.double() @ turn.mT).round().long() + n // 2
        turned = volume[tuple(place.flip(-1).remainder(n).unbind(-1))]
        expected = to_half_spectrum(turned).flatten()[sphere.flat]
        assert torch.allclose(reordered(spectrum[None], sphere, turn, n)[0], expected, atol=1e-3)


def test_a_sum_over_reorderings_is_that_of_each():
    sphere, turns = Sphere.up_to(16, 7), steps_of(Symmetry("D1").rotations)[1]
    generator = torch.Generator().manual_seed(2)
    spectrum = torch.randn(2, len(sphere.flat), dtype=torch.complex128, generator=generator)
    sums = sum_reordered([spectrum, spectrum.abs()], sphere, turns, 16)
    for found, part in zip(sums, (spectrum, spectrum.abs()), strict=True):
        assert torch.allclose(found, torch.stack([reordered(part, sphere, turn, 16) for turn in turns]).sum(0))
