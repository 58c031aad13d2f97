import math

import pytest
import torch

from torchsag.fourier import to_half_spectrum, to_spectrum
from torchsag.geometry import Poses, random_rotations
from torchsag.geometry.rotations import rotvec_to_matrix
from torchsag.spectra.gather import gather_torch
from torchsag.spectra.gather_numba import gather_into_sums, gather_numba
from torchsag.spectra.kaiser_bessel import compensate
from torchsag.spectra.tables import MARGIN, Sphere, padded_table
from torchsag.spectra.tables_numba import padded_table_numba


def _inputs(n, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    volumes = torch.randn(count, n, n, n, generator=generator)
    weights = torch.rand(2, n, n, n // 2 + 1, generator=generator)
    index = torch.arange(count) % 2
    rotations = random_rotations(count, generator)
    shifts = 2 * torch.randn(count, 3, generator=generator)
    tables = padded_table(to_half_spectrum(compensate(volumes)), n), padded_table(weights, n)
    return volumes, (*tables, index, rotations, shifts, Sphere.up_to(n, n // 2).index, n)


@pytest.mark.parametrize("n", [15, 16])
def test_padded_table_continues_the_full_spectrum_periodically(n):
    volume = torch.randn(n, n, n, generator=torch.Generator().manual_seed(1))
    table = padded_table(to_half_spectrum(volume), n)
    full = to_spectrum(volume)
    wide = torch.arange(-(n // 2) - MARGIN, n // 2 + MARGIN + 1)
    narrow = torch.arange(-MARGIN, n // 2 + MARGIN + 1)
    at = [(axis + n // 2) % n for axis in (wide, wide, narrow)]
    expected = full[at[0]][:, at[1]][:, :, at[2]]
    torch.testing.assert_close(table, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("n", [15, 16])
def test_sphere_holds_every_coefficient_up_to_its_shell(n):
    sphere = Sphere.up_to(n, 5)
    assert sphere.index.norm(dim=-1).max() <= 5
    grid = torch.arange(-5, 6)
    z, y, x = torch.meshgrid(grid, grid, torch.arange(0, 6), indexing="ij")
    assert len(sphere.flat) == int((z**2 + y**2 + x**2 <= 25).sum())


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("threads", [1, 2])
def test_numba_kernel_agrees_with_torch(n, threads):
    _, inputs = _inputs(n)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        value, weight = gather_numba(*inputs)
    finally:
        torch.set_num_threads(before)
    expected_value, expected_weight = gather_torch(*inputs)
    torch.testing.assert_close(value, expected_value, atol=2e-5 * float(expected_value.abs().max()), rtol=1e-4)
    torch.testing.assert_close(weight, expected_weight, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("threads", [1, 2])
def test_sums_made_on_the_way_are_those_of_what_was_read(n, threads):
    _, inputs = _inputs(n, count=4)
    groups, strength = torch.tensor([1, 0, 1, 1]), torch.tensor([1.0, 0.5, 2.0, 0.0], dtype=torch.float64)
    points = inputs[5]
    sums = torch.ones(2, len(points), dtype=torch.complex128), torch.ones(2, len(points), dtype=torch.float64)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        gather_into_sums(sums, groups, strength, *inputs)
    finally:
        torch.set_num_threads(before)
    value, weight = gather_torch(*inputs)
    scaled = strength[:, None] * weight
    top = torch.ones_like(sums[0]).index_add_(0, groups, scaled * value.to(torch.complex128))
    bottom = torch.ones_like(sums[1]).index_add_(0, groups, scaled * weight)
    torch.testing.assert_close(sums[0], top, atol=2e-5 * float(top.abs().max()), rtol=1e-4)
    torch.testing.assert_close(sums[1], bottom, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("reach", [3, None])
def test_the_compiled_table_is_that_of_torch(n, reach):
    generator = torch.Generator().manual_seed(2)
    half = to_half_spectrum(torch.randn(2, n, n, n, generator=generator))
    for some in (half, half.conj(), half.real.contiguous()):
        made = padded_table_numba(some, n, n // 2 if reach is None else reach)
        assert torch.equal(made, padded_table(some, n, reach))
    with pytest.raises(ValueError, match="a reach within"):
        padded_table_numba(half, n, n)


@pytest.mark.parametrize("gather", [gather_torch, gather_numba])
@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi])
def test_value_is_the_transform_of_the_unplaced_structure(blobs, gather, angle):
    n = 32
    structure = blobs(5.0)
    rotvec = torch.nn.functional.normalize(torch.tensor([[1.0, 2.0, -0.5]]), dim=-1) * angle
    poses = Poses(rotvec_to_matrix(rotvec), torch.tensor([[1.3, -0.6, 2.1]]))
    table = padded_table(to_half_spectrum(compensate(structure.volumes(poses, n))), n)
    ones = padded_table(torch.ones(1, n, n, n // 2 + 1), n)
    sphere = Sphere.up_to(n, 12)
    value, weight = gather(table, ones, torch.zeros(1, dtype=torch.long), *_pair(poses), sphere.index, n)
    expected = to_half_spectrum(structure.map(n)).flatten()[sphere.flat]
    # The copies one box away: 0.4 % in amplitude at most (see torchsag.spectra.kaiser_bessel).
    assert float((value[0] - expected).abs().max()) < 4e-3 * float(expected.abs().max())
    torch.testing.assert_close(weight, torch.ones_like(weight))


def test_gradient_with_respect_to_the_pose_flows_through_the_torch_gather():
    _, inputs = _inputs(12)
    spectra, weights, index, rotations, shifts, points, n = inputs
    shifts = shifts.clone().requires_grad_()
    value, _ = gather_torch(spectra, weights, index, rotations, shifts, points, n)
    (gradient,) = torch.autograd.grad(value.real.sum(), shifts)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


def _pair(poses):
    return poses.rotations, poses.shifts
