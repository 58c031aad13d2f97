"""The probability of a particle's other candidates."""

import torch

from torchsag.geometry import Poses, Symmetry
from torchsag.likelihood.ambiguity import ambiguity
from torchsag.likelihood.contenders import Contenders


def _contenders(turn_deg: float, score: float) -> Contenders:
    """Two candidates of one particle, the second turned about z by so much."""
    angle = torch.deg2rad(torch.tensor([0.0, turn_deg]))
    moves = torch.zeros(2, 6)
    moves[:, 2] = angle
    poses = Poses(torch.eye(3).expand(2, 3, 3), torch.zeros(2, 3)).retract(moves)
    scores = torch.tensor([4.0, score])
    return Contenders(poses, torch.zeros(2, dtype=torch.long), scores, torch.ones(2), torch.ones(2, dtype=torch.bool))


def _of(both: Contenders, sigma: float = 0.01, symmetry: str = "C1") -> float:
    covariances = sigma**2 * torch.eye(6)[None]
    chosen = both[torch.tensor([0])]
    return float(ambiguity(both, chosen, torch.ones(1), covariances, 0.05, 1.0, Symmetry(symmetry)))


def test_an_equal_candidate_elsewhere_is_as_probable():
    assert abs(_of(_contenders(90, 4.0)) - 0.5) < 1e-6
    # Half the difference of the squares, 16 and 14, is a loss of one.
    assert abs(_of(_contenders(90, 14**0.5)) - 1 / (1 + torch.e)) < 1e-5


def test_the_same_optimum_is_no_other():
    assert _of(_contenders(2, 4.0)) == 0  # closer than candidates that count as the same
    assert _of(_contenders(20, 4.0), sigma=0.2) == 0  # within the uncertainty of the chosen one
    assert _of(_contenders(90, 4.0), symmetry="C4") < 1e-6  # equivalent by symmetry
