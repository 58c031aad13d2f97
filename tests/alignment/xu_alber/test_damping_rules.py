"""What each rule takes, and how its damping changes."""

import pytest
import torch

from torchsag.alignment.xu_alber.damping_rules import DampingRule, FixedDamping, GainRatioDamping
from torchsag.alignment.xu_alber.unit_distance import UnitDistance
from torchsag.errors import InputError

GAIN = torch.tensor([0.9, 0.5, 0.1, -0.2, torch.nan])
HERE = UnitDistance(torch.tensor([0.2]), torch.zeros(1, 6), torch.eye(6)[None])


def test_fixed_takes_everything_that_is_a_number():
    rule = FixedDamping()
    assert isinstance(rule, DampingRule)
    taken, damping = rule.judge(torch.ones(5), GAIN)
    assert taken.tolist() == [True, True, True, True, False]
    assert torch.equal(damping, torch.ones(5))
    assert torch.equal(rule.curvature(HERE), HERE.gauss_newton)


def test_gain_ratio_takes_what_falls():
    rule = GainRatioDamping()
    assert isinstance(rule, DampingRule)
    taken, damping = rule.judge(torch.ones(5), GAIN)
    assert taken.tolist() == [True, True, True, False, False]
    torch.testing.assert_close(damping, torch.tensor([1 / 3, 1.0, 4.0, 4.0, 4.0]))
    torch.testing.assert_close(rule.curvature(HERE), 0.2 * HERE.gauss_newton)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (FixedDamping, {"start": -1.0}),
        (GainRatioDamping, {"start": 0.0}),
        (GainRatioDamping, {"least_correlation": 0.0}),
    ],
)
def test_fields_are_checked(rule, field):
    with pytest.raises(InputError, match=next(iter(field))):
        rule(**field)
