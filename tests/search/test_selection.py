"""Greedy selection of separated rotations against a loop that does the obvious."""

import math

import pytest
import torch

from torchsag.geometry import Symmetry, random_rotations
from torchsag.search.selection import select_separated


def _obvious(scores, rotations, count, separation, symmetry):
    order, chosen = scores.argsort(descending=True).tolist(), []
    for row in order:
        if len(chosen) == count:
            break
        if all(float(symmetry.distance(rotations[row], rotations[other])) > separation for other in chosen):
            chosen.append(row)
    return chosen


@pytest.mark.parametrize("name", ["C1", "C7", "D7"])
def test_is_the_obvious_loop(name):
    generator, symmetry = torch.Generator().manual_seed(0), Symmetry(name)
    rotations = random_rotations(300, generator, torch.float64)
    scores = torch.randn(2, 300, generator=generator, dtype=torch.float64)
    untouched = scores.clone()
    index, best = select_separated(scores, rotations, 4, math.radians(25), symmetry)
    for row in range(2):
        expected = _obvious(scores[row], rotations, 4, math.radians(25), symmetry)
        assert index[row].tolist() == expected
        torch.testing.assert_close(best[row], scores[row, expected])
    assert torch.equal(scores, untouched)


def test_equivalent_rotations_are_one():
    symmetry = Symmetry("C4")
    base = random_rotations(1, torch.Generator().manual_seed(3), torch.float64)
    rotations = base @ symmetry.rotations
    scores = torch.tensor([[4.0, 3.0, 2.0, 1.0]], dtype=torch.float64)
    index, best = select_separated(scores, rotations, 2, math.radians(5), symmetry)
    assert index.tolist() == [[0, 0]]
    assert best.tolist() == [[4.0, -math.inf]]
    alone, _ = select_separated(scores, rotations, 2, math.radians(5), Symmetry("C1"))
    assert alone.tolist() == [[0, 1]]


def test_when_nothing_is_left_the_best_fills_the_row():
    rotations = random_rotations(5, torch.Generator().manual_seed(0), torch.float64)
    scores = torch.tensor([[0.0, 1.0, 5.0, 2.0, 3.0]], dtype=torch.float64)
    index, best = select_separated(scores, rotations, 8, 1e-3, Symmetry("C1"))
    assert index.tolist() == [[2, 4, 3, 1, 0, 2, 2, 2]]
    assert best[0, 5:].tolist() == [-math.inf] * 3
