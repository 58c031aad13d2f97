import math

import pytest
import torch

from torchsag.averaging.strength import BestScores, Equal, PoseProbability, Strength
from torchsag.errors import InputError

HALVES = torch.tensor([1, 1, 1, 1, 1, 2, 2, 2, 2, 2])
SCORES = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 0.8, 0.7, 0.6, 0.5])
NONE = torch.full((10,), math.nan)


@pytest.mark.parametrize("rule", [Equal(), BestScores(), PoseProbability()])
def test_before_an_alignment_all_particles_count_the_same(rule):
    assert isinstance(rule, Strength)
    assert torch.equal(rule(NONE, NONE, HALVES), torch.ones(10))


def test_the_worst_scores_of_each_half_are_left_out():
    strength = BestScores(part=0.6)(SCORES, NONE, HALVES)
    assert strength.tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]


def test_a_half_is_not_ranked_by_the_other():
    changed = SCORES.clone()
    changed[5:] *= 100
    assert torch.equal(BestScores(0.6)(SCORES, NONE, HALVES), BestScores(0.6)(changed, NONE, HALVES))


def test_ambiguous_poses_count_less():
    ambiguity = torch.tensor([0.0, 0.25, 1.0, math.nan] + [0.0] * 6)
    assert PoseProbability()(SCORES, ambiguity, HALVES)[:4].tolist() == pytest.approx([1.0, 0.75, 1e-3, 1.0])


def test_an_impossible_part_is_refused():
    with pytest.raises(InputError, match=r"^part: expected"):
        BestScores(part=0.0)
