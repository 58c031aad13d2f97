"""Sums over Fourier blocks: the obvious sums, the derivatives, the fused kernel."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from blobs import Blobs, BlobTable
from block_sum_checks import assert_close_by_component, of_two_maps, single_precision
from fourier_problems import noisy, single, some_poses

from torchsag.geometry import Poses
from torchsag.likelihood.fourier_blocks import block_sums, reference_block_sums, total_sums
from torchsag.likelihood.fourier_kernel import fused_block_sums
from torchsag.spectra.fourier_band import FourierBand

BLOBS = Blobs(16)


def _problem(blocks=3, particles=3, num_weights=2):
    """Poses away from the truth: nothing is stationary there."""
    band = FourierBand.of(BLOBS.box, 6, blocks)
    observed, _ = noisy(BLOBS, particles, band, num_weights)
    particle = torch.tensor([0, 2, 1, 2, 0])
    return BlobTable.of(BLOBS, 6), band, observed, some_poses(5, seed=5), particle


def _obvious(band, observed, poses, particle):
    """Model with its phase, coefficient by coefficient."""
    k = band.frequencies.double()
    angle = -2 * math.pi / band.box * poses.shifts @ k.T
    model = BLOBS.transform(k @ poses.rotations)[0] * torch.polar(torch.ones_like(angle), angle)
    weight = observed.weights[observed.weight_index[particle]]
    cross, energy = (model.conj() * observed.data[particle]).real, weight * model.abs().square()
    starts = band.starts.tolist()
    blocks = [slice(a, b) for a, b in pairwise(starts)]
    return [torch.stack([values[:, b].sum(1) for b in blocks], 1) for values in (cross, energy)]


def test_cross_and_energy_are_the_obvious_sums():
    table, band, observed, poses, particle = _problem()
    sums = block_sums(table, band, observed, poses, particle, torch.arange(3))
    cross, energy = _obvious(band, observed, poses, particle)
    torch.testing.assert_close(sums.cross, cross)
    torch.testing.assert_close(sums.energy, energy)


def test_terms_may_come_in_any_order():
    table, band, observed, poses, particle = _problem()
    every = block_sums(table, band, observed, poses, particle, torch.arange(3))
    some = block_sums(table, band, observed, poses, particle, torch.tensor([2, 0]))
    torch.testing.assert_close(some.cross, every.cross[:, [2, 0]])
    torch.testing.assert_close(some.gram, every.gram[:, [2, 0]])
    total = every.total()
    torch.testing.assert_close(total.gram, every.gram.sum(1, keepdim=True))
    torch.testing.assert_close(total.cross_gradient, every.cross_gradient.sum(1, keepdim=True))


def _differences(evaluate, poses: Poses, h=1e-5):
    """Central differences along the six tangent directions, last axis."""
    slopes = []
    for step in h * torch.eye(6, dtype=torch.float64):
        move = step.expand(len(poses), 6)
        slopes.append((evaluate(poses.retract(move)) - evaluate(poses.retract(-move))) / (2 * h))
    return torch.stack(slopes, -1)


def test_gradients_are_those_of_retraction():
    table, band, observed, poses, particle = _problem()
    terms = torch.arange(3)

    def sums(at):
        return block_sums(table, band, observed, at, particle, terms)

    here = sums(poses)
    torch.testing.assert_close(
        here.cross_gradient, _differences(lambda at: sums(at).cross, poses), rtol=1e-6, atol=1e-3
    )
    # d/da sum w |m|^2 is twice Re sum w conj(m) m_a.
    torch.testing.assert_close(
        2 * here.energy_gradient, _differences(lambda at: sums(at).energy, poses), rtol=1e-6, atol=1e-2
    )


def test_gram_is_that_of_the_model_s_derivatives():
    table, band, observed, poses, particle = _problem(blocks=1)
    k = band.frequencies.double()

    def model(at):
        angle = -2 * math.pi / band.box * at.shifts @ k.T
        return BLOBS.transform(k @ at.rotations)[0] * torch.polar(torch.ones_like(angle), angle)

    jacobian = _differences(model, poses)
    weight = observed.weights[observed.weight_index[particle]]
    expected = (jacobian.mH @ (weight[..., None] * jacobian)).real
    found = block_sums(table, band, observed, poses, particle, torch.arange(1)).gram[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(("blocks", "box", "shell"), [(1, 16, 6), (5, 16, 7), (40, 17, 7)])
def test_fused_kernel_is_the_reference(blocks, box, shell):
    """Against double precision; blocks shorter and longer than a lane, odd boxes, out to the last shell."""
    table, band, observed, poses, particle = single_precision(blocks, box=box, shell=shell)
    assert bool((observed.weights == 0).any())
    terms = torch.arange(blocks).flip(0)
    expected = reference_block_sums(table, band, observed, poses, particle, terms)
    found = fused_block_sums(table.to(torch.float32), band, single(observed), poses.to(torch.float32), particle, terms)
    assert found.dtype == torch.float32
    assert_close_by_component(found, expected)


@pytest.mark.parametrize("angle", [0.0, math.pi / 2, math.pi])
def test_fused_kernel_on_the_grid_s_own_axes(angle):
    """Where points lie on the border between the stored half and its mirror image, and on corners of cells."""
    table, band, observed, _, _ = single_precision(2)
    vector = torch.tensor([[0.0, angle, 0, 0, 0, 0], [angle, 0, 0, 1.0, 0, 0]], dtype=torch.float64)
    poses, particle = Poses.identity(2, torch.float64).retract(vector), torch.tensor([0, 1])
    expected = reference_block_sums(table, band, observed, poses, particle, torch.arange(2))
    found = fused_block_sums(
        table.to(torch.float32), band, single(observed), poses.to(torch.float32), particle, torch.arange(2)
    )
    assert_close_by_component(found, expected, 2e-5)


def test_fused_kernel_with_a_weight_that_is_zero_everywhere():
    table, band, observed, poses, particle = single_precision(2, num_weights=1)
    observed = single(observed)
    observed.weights.zero_()
    found = fused_block_sums(
        table.to(torch.float32), band, observed, poses.to(torch.float32), particle, torch.arange(2)
    )
    assert bool((found == 0).all())


def test_each_particle_is_compared_with_its_own_map():
    both, (band, observed, poses, particle), maps, tables = of_two_maps()
    terms = torch.arange(4)
    alone = [reference_block_sums(t, band, observed, poses, particle, terms) for t in tables]
    expected = torch.where((maps == 0)[:, None, None], *alone)
    torch.testing.assert_close(reference_block_sums(both, band, observed, poses, particle, terms), expected)
    small = replace(single(observed), maps=observed.maps)
    found = fused_block_sums(both.to(torch.float32), band, small, poses.to(torch.float32), particle, terms)
    assert_close_by_component(found, expected)


def test_several_maps_want_to_know_whose_image_a_particle_is():
    both, (band, observed, poses, particle), _, _ = of_two_maps()
    unknown, nobody = replace(observed, maps=None), replace(single(observed), maps=torch.tensor([0, 2, 1]))
    with pytest.raises(ValueError, match="which of 2 maps"):
        reference_block_sums(both, band, unknown, poses, particle, torch.arange(4))
    small, single_poses = both.to(torch.float32), poses.to(torch.float32)
    with pytest.raises(ValueError, match="which of 2 maps"):
        fused_block_sums(small, band, single(unknown), single_poses, particle, torch.arange(4))
    with pytest.raises(IndexError, match="map does not exist"):
        fused_block_sums(small, band, nobody, single_poses, particle, torch.arange(4))


def test_threads_do_not_matter():
    table, band, observed, poses, particle = single_precision(4)
    arguments = (
        table.to(torch.float32), band, single(observed), poses.to(torch.float32), particle, torch.arange(4)
    )  # fmt: skip
    alone = fused_block_sums(*arguments)
    torch.set_num_threads(2)
    try:
        together = fused_block_sums(*arguments)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(alone, together)


def test_single_precision_on_the_cpu_takes_the_fused_kernel():
    table, band, observed, poses, particle = single_precision(2)
    narrow = (table.to(torch.float32), band, single(observed), poses.to(torch.float32), particle, torch.arange(2))
    assert torch.equal(block_sums(*narrow).cross, fused_block_sums(*narrow)[..., 0])
    wide = block_sums(table, band, observed, poses, particle, torch.arange(2))
    assert wide.gram.dtype == torch.float64
    torch.testing.assert_close(block_sums(*narrow).gram.double(), wide.gram, rtol=0, atol=1e-5 * float(wide.gram.max()))


def test_totals_of_each_order_are_those_of_all_blocks():
    table, band, observed, poses, particle = single_precision(3)
    arguments = (table.to(torch.float32), band, single(observed), poses.to(torch.float32), particle, torch.arange(3))
    whole = block_sums(*arguments).total()
    names = ("cross", "energy", "cross_gradient", "energy_gradient", "gram")
    for order, known in ((0, 2), (1, 4), (2, 5)):
        found = total_sums(*arguments, order=order)
        assert torch.equal(found.cross, whole.cross)  # a judgement without derivatives is the same judgement
        for name in names[:known]:
            expected = getattr(whole, name)
            torch.testing.assert_close(getattr(found, name), expected, rtol=0, atol=1e-6 * float(expected.abs().max()))
        assert all(bool(getattr(found, name).isnan().all()) for name in names[known:])
        wide = total_sums(table, band, observed, poses, particle, torch.arange(3), order=order)
        torch.testing.assert_close(
            wide.cross.float(), found.cross, rtol=1e-4, atol=1e-4 * float(whole.cross.abs().max())
        )
