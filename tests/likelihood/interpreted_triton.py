"""Tests of the kernel for GPUs on a CPU, by Triton's interpreter.

Triton must be told before it is imported, and then interprets everything in the process: `test_fourier_triton` runs
this file in one of its own, ``TRITON_INTERPRET=1 pytest tests/likelihood/interpreted_triton.py``.
"""

import math
from dataclasses import replace

import pytest
import torch
from block_sum_checks import assert_close_by_component, of_two_maps, single_precision
from fourier_problems import single

from torchsag.geometry import Poses
from torchsag.likelihood import fourier_triton
from torchsag.likelihood.fourier_blocks import reference_block_sums
from torchsag.likelihood.fourier_triton import triton_block_sums

_PARTS = ("_lerp", "_dot", "_parts", "_rounded_parts", "_wave", "_mix", "_blend", "_put", "_put6")


@pytest.fixture(autouse=True)
def _quick(request, monkeypatch):
    """As plain functions: each call of one that is interpreted by itself costs milliseconds. And few, wide programs."""
    if "as_it_is" in request.fixturenames:
        return
    for name in _PARTS:
        monkeypatch.setattr(fourier_triton, name, getattr(fourier_triton, name).fn)
    monkeypatch.setattr(fourier_triton, "launch_shape", lambda band: (128, 4))


def _narrow(table, band, observed, poses, particle):
    return table.to(torch.float32), band, single(observed), poses.to(torch.float32), particle


@pytest.mark.parametrize(("blocks", "box", "shell"), [(1, 16, 6), (5, 16, 7), (40, 17, 7)])
def test_it_is_the_reference(blocks, box, shell):
    """Against double precision; blocks shorter and longer than a program's lanes, odd boxes, out to the last shell."""
    problem = single_precision(blocks, box=box, shell=shell, count=3)
    assert bool((problem[2].weights == 0).any())
    terms = torch.arange(blocks).flip(0)[:3]
    found = triton_block_sums(*_narrow(*problem), terms)
    assert found.dtype == torch.float32
    assert_close_by_component(found, reference_block_sums(*problem, terms))


@pytest.mark.parametrize(("order", "sums"), [(0, 2), (1, 14)])
def test_a_lower_order_is_the_first_of_the_sums(order, sums):
    problem = _narrow(*single_precision(2, count=2))
    every = triton_block_sums(*problem, torch.arange(2))
    torch.testing.assert_close(triton_block_sums(*problem, torch.arange(2), order), every[..., :sums], rtol=0, atol=0)


@pytest.mark.parametrize("angle", [0.0, math.pi / 2, math.pi])
def test_on_the_grid_s_own_axes(angle):
    """Where points lie on the border between the stored half and its mirror image, and on corners of cells."""
    table, band, observed, _, _ = single_precision(2)
    vector = torch.tensor([[0.0, angle, 0, 0, 0, 0], [angle, 0, 0, 1.0, 0, 0]], dtype=torch.float64)
    problem = table, band, observed, Poses.identity(2, torch.float64).retract(vector), torch.tensor([0, 1])
    found = triton_block_sums(*_narrow(*problem), torch.arange(2))
    assert_close_by_component(found, reference_block_sums(*problem, torch.arange(2)), 2e-5)


def test_far_shifts_keep_their_precision():
    problem = single_precision(2, count=2)
    far = replace(problem[3], shifts=problem[3].shifts + 7.25)
    problem = (*problem[:3], far, problem[4])
    found = triton_block_sums(*_narrow(*problem), torch.arange(2))
    assert_close_by_component(found, reference_block_sums(*problem, torch.arange(2)), 2e-5)


def test_each_particle_is_compared_with_its_own_map():
    both, rest, _, _ = of_two_maps(3)
    terms = torch.arange(1)
    expected = reference_block_sums(both, *rest, terms)
    small = replace(single(rest[1]), maps=rest[1].maps)
    found = triton_block_sums(both.to(torch.float32), rest[0], small, rest[2].to(torch.float32), rest[3], terms)
    assert_close_by_component(found, expected)


def test_what_does_not_exist_is_no_number():
    table, band, observed, poses, particle = _narrow(*single_precision(2, count=4))
    rotations = poses.rotations.clone()
    rotations[1] *= 1.5
    shifts = poses.shifts.clone()
    shifts[2, 1] = torch.nan
    found = triton_block_sums(table, band, observed, Poses(rotations, shifts), particle, torch.tensor([0, 2]))
    assert found[0, 0].isfinite().all()  # as it should be
    assert found[0, 1].isnan().all()  # no such block
    assert found[1:3].isnan().all()  # beyond the table; nowhere
    astray = torch.tensor([0, 3, -1, 2])  # of three particles
    found = triton_block_sums(table, band, observed, poses, astray, torch.arange(2))
    assert found[[0, 3]].isfinite().all()
    assert found[[1, 2]].isnan().all()
    unweighted = replace(observed, weight_index=torch.tensor([0, 2, 1]))  # of two weights
    found = triton_block_sums(table, band, unweighted, poses, particle, torch.arange(2))
    assert found[1].isnan().all()
    assert found[[0, 2, 3]].isfinite().all()
    both, (band, observed, poses, particle), _, _ = of_two_maps(3)
    nobody = replace(single(observed), maps=torch.tensor([0, 2, 1]))
    found = triton_block_sums(both.to(torch.float32), band, nobody, poses.to(torch.float32), particle, torch.arange(1))
    assert torch.equal(found[:, 0, 0].isnan(), particle == 1)


@pytest.mark.parametrize("as_it_is", [True])
def test_blocks_are_summed_by_one_warp_or_several_alike(as_it_is):
    """The parts, too, as they are compiled."""
    for box, shell, blocks, shape in ((16, 5, 4, (32, 1)), (24, 10, 1, (128, 4))):
        problem = single_precision(blocks, box=box, shell=shell, count=1)
        assert fourier_triton.launch_shape(problem[1]) == shape
        terms = torch.arange(1)
        found = triton_block_sums(*_narrow(*problem), terms)
        assert_close_by_component(found, reference_block_sums(*problem, terms))


def test_it_was_interpreted():
    assert type(fourier_triton._block_sums).__name__ == "InterpretedFunction"
