"""How probable poses are, and whether a particle shows anything."""

import math

import pytest
import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Poses, Symmetry
from torchsag.likelihood.modes import PoseModes
from torchsag.likelihood.pose_shares import PoseShares, posterior_shares
from torchsag.particles import ParticleBatch
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles


def _modes(gain, amplitude=None, log_share=-9.0):
    gain = torch.tensor(gain)
    poses = Poses(torch.eye(3).expand(*gain.shape, 3, 3), torch.zeros(*gain.shape, 3))
    amplitude = torch.ones_like(gain) if amplitude is None else torch.tensor(amplitude)
    return PoseModes(poses, gain, amplitude, torch.full_like(gain, log_share))


def test_modes_share_by_their_likelihoods():
    shares = posterior_shares(_modes([[50.0, 49.0, 47.0], [60.0, -math.inf, -math.inf]]))
    torch.testing.assert_close(shares[0], torch.tensor([50.0, 49.0, 47.0]).softmax(0), atol=1e-3, rtol=1e-3)
    assert shares[1].tolist() == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)


def test_a_narrow_optimum_must_gain_more_than_a_wide_one():
    # Ten certain particles keep the part that shows nothing at its least, 1 in 100.
    odds = math.exp(7.0 - 9.0) * 99
    shares = posterior_shares(_modes([[50.0]] * 200 + [[7.0]]))
    assert float(shares[-1, 0]) == pytest.approx(odds / (1 + odds), abs=1e-3)


def test_what_is_much_fainter_than_the_others_is_nothing():
    bright = [[40.0]] * 30
    shares = posterior_shares(_modes([*bright, [14.0]], [*([[1.0]] * 30), [0.3]]))
    assert float(shares[-1, 0]) < 0.01 < 0.99 < float(shares[0, 0])
    # As bright as the others, it would count.
    assert float(posterior_shares(_modes([*bright, [14.0]]))[-1, 0]) > 0.9


def test_nothing_known_is_no_share():
    shares = posterior_shares(_modes([[30.0, 2.0], [math.nan, math.nan], [30.0, -math.inf]]))
    assert shares[1].tolist() == [0.0, 0.0]
    assert posterior_shares(_modes([[math.nan]])).tolist() == [[0.0]]
    assert posterior_shares(_modes([[0.0, -math.inf]])).isfinite().all()  # a fit the wrong way round


def test_improbable_poses_leave_their_share_to_the_others():
    poses = Poses(torch.eye(3).expand(2, 3, 3, 3), torch.zeros(2, 3, 3))
    some = PoseShares(poses, torch.tensor([[0.3, 0.199, 0.001], [0.004, 0.003, 0.003]])).above(0.01)
    assert some.shares[0].tolist() == pytest.approx([0.5 * 0.3 / 0.499, 0.5 * 0.199 / 0.499, 0.0])
    assert some.shares[1].tolist() == pytest.approx([0.004, 0.003, 0.003])  # of little, but of all there is


def test_noise_is_told_from_particles():
    structure = density_of(ribosome_phantom(), 24, 14.0, 25.0)
    particles, _ = simulate_particles(structure, 8, 0.05, seed=3)
    noise = torch.randn(4, 24, 24, 24, generator=torch.Generator().manual_seed(5)) * particles.volumes.std()
    junk = ParticleBatch.from_volumes(
        noise, particles.weights, particles.weight_index[:4], tuple(f"noise{i}" for i in range(4)), 14.0
    )
    prepared = CurvatureSAGAligner(calibration_particles=0).prepare(structure, Symmetry("C1"))
    assert prepared(particles).modes is None
    found = prepared.with_modes(4)(ParticleBatch.concatenate([particles, junk]))
    shares = posterior_shares(found.modes)
    assert (shares[:8].sum(1) > 0.99).all()
    assert (shares[8:].sum(1) < 0.2).all()
    assert torch.equal(found.modes.poses.shifts[:, 0], found.poses.shifts)
