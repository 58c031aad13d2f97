"""Which candidates survive."""

import math

import torch

from torchsag.geometry import Poses, Symmetry
from torchsag.likelihood.contenders import Contenders

C1 = Symmetry("C1")


def _contenders(rows):
    """Rows of (particle, score, turn about z in degrees, shift along x)."""
    particle, score, turn, shift = (torch.tensor(column, dtype=torch.float32) for column in zip(*rows, strict=True))
    move = torch.zeros(len(rows), 6)
    move[:, 2], move[:, 3] = torch.deg2rad(turn), shift
    poses = Poses.identity(len(rows)).retract(move)
    return Contenders(poses, particle.long(), score, 10 * score, score > 0)


def _thin(contenders, count=1, keep=10, margin=1e9, symmetry=C1):
    kept = contenders.thin(count, keep, torch.full((count,), margin), math.radians(3), 1.0, symmetry)
    return list(zip(kept.particle.tolist(), kept.score.tolist(), strict=True))


def test_best_of_each_particle_in_any_order():
    contenders = _contenders([(1, 2.0, 0, 0), (0, 5.0, 0, 0), (1, 7.0, 40, 0), (0, 6.0, 90, 0), (2, -1.0, 0, 0)])
    assert contenders.best(3).tolist() == [3, 2, 4]
    assert contenders.particle_amplitude(3).tolist() == [60.0, 70.0, -10.0]


def test_keeps_the_best_few():
    contenders = _contenders([(0, 1.0, 0, 0), (0, 4.0, 20, 0), (1, 9.0, 0, 0), (0, 3.0, 40, 0), (0, 2.0, 60, 0)])
    assert _thin(contenders, count=2, keep=2) == [(0, 4.0), (0, 3.0), (1, 9.0)]


def test_drops_what_is_the_same_as_a_better_one():
    """Same means close in angle and in shift; also to a better one that is itself dropped."""
    rows = [(0, 5.0, 0, 0), (0, 4.0, 2, 0.5), (0, 3.0, 1, 1.6), (0, 2.0, 4, 0), (0, 1.0, 7.5, 0), (1, 1.0, 0, 0)]
    assert _thin(_contenders(rows), count=2) == [(0, 5.0), (0, 3.0), (0, 1.0), (1, 1.0)]


def test_a_duplicate_takes_no_place():
    rows = [(0, 5.0, 0, 0), (0, 4.9, 1, 0), (0, 4.8, 1.5, 0), (0, 3.0, 50, 0)]
    assert _thin(_contenders(rows), keep=2) == [(0, 5.0), (0, 3.0)]


def test_duplicates_are_modulo_symmetry():
    rows = [(0, 5.0, 0, 0), (0, 4.0, 91, 0), (0, 3.0, 45, 0)]
    assert _thin(_contenders(rows), symmetry=Symmetry("C4")) == [(0, 5.0), (0, 3.0)]
    assert len(_thin(_contenders(rows))) == 3


def test_drops_what_the_data_speak_against():
    """``score^2 / 2``: 12.5, 8, 4.5; a score below zero counts as zero."""
    rows = [(0, 5.0, 0, 0), (0, 4.0, 30, 0), (0, 3.0, 60, 0), (0, -9.0, 90, 0)]
    assert [score for _, score in _thin(_contenders(rows), margin=5.0)] == [5.0, 4.0]
    assert [score for _, score in _thin(_contenders(rows), margin=8.5)] == [5.0, 4.0, 3.0]
    assert [score for _, score in _thin(_contenders(rows), margin=13.0)] == [5.0, 4.0, 3.0, -9.0]


def test_margin_is_each_particle_s_own():
    contenders = _contenders([(0, 5.0, 0, 0), (0, 4.0, 30, 0), (1, 5.0, 0, 0), (1, 4.0, 30, 0)])
    kept = contenders.thin(2, 5, torch.tensor([1.0, 6.0]), 0.05, 1.0, C1)
    assert kept.particle.tolist() == [0, 1, 1]


def test_everything_about_a_contender_stays_together():
    kept = _contenders([(0, 1.0, 10, 2), (0, 4.0, 50, 3)]).thin(1, 1, torch.tensor([99.0]), 0.05, 1.0, C1)
    assert kept.amplitude.tolist() == [40.0]
    assert kept.poses.shifts[0, 0] == 3
    assert kept.converged.tolist() == [True]
