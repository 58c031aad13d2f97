"""Weights of an average and of the map it began from: their limits, and that no other weights do better."""

import pytest
import torch

from torchsag.averaging.filtering import weigh_shells
from torchsag.averaging.starting_map import StartingMap, blend_weights
from torchsag.particles import DensityMap

N = 16


def weights(fsc, agreement, passed=1.0):
    of_average, of_map = blend_weights(*(torch.full((4,), value) for value in (fsc, agreement, passed)))
    return float(of_average[1]), float(of_map[1])


def test_of_a_perfect_average_nothing_of_the_map_is_needed():
    of_average, of_map = weights(0.999, 0.9)
    assert of_average == pytest.approx(1.0, abs=0.01)
    assert of_map < 0.01


def test_of_a_perfect_map_nothing_of_the_average_is_needed():
    of_average, of_map = weights(0.25, 0.5)  # c = sqrt(F)
    assert of_average < 0.01
    assert of_map == pytest.approx(0.5, abs=0.01)  # the truth is sqrt(F) of the average's power


@pytest.mark.parametrize(("agreement", "passed"), [(0.0, 1.0), (-0.4, 1.0), (0.6, 0.0)])
def test_of_a_map_that_knows_nothing_or_may_not_be_used_nothing_is_taken(agreement, passed):
    assert weights(0.5, agreement, passed) == (pytest.approx(0.5), 0.0)


def test_beyond_the_curve_and_the_map_there_is_nothing():
    fsc = torch.tensor([1.0, 0.8, 0.5, 0.1, 0.4])
    passed = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    of_average, of_map = blend_weights(fsc, torch.full((5,), 0.3), passed)
    assert of_average[3:].tolist() == [0, 0]
    assert of_map[2:].tolist() == [0, 0, 0]
    assert float(of_average[2]) == pytest.approx(0.5)


def test_the_weights_are_those_of_least_squares():
    generator = torch.Generator().manual_seed(0)
    truth, first, second, wrong = torch.randn(4, 200_000, generator=generator, dtype=torch.float64)
    average, given = truth + 1.5 * first, (truth + 0.5 * wrong) / 1.25**0.5
    other = truth + 1.5 * second
    scale = average.std() / given.std()

    def correlation(a, b):
        return float(torch.corrcoef(torch.stack([a, b]))[0, 1])

    a, b = weights(correlation(average, other), correlation(average, given))
    mixed = torch.stack([average, scale * given], -1)
    best = torch.linalg.lstsq(mixed, truth[:, None]).solution[:, 0]
    torch.testing.assert_close(torch.tensor([a, b]).double(), best, atol=0.01, rtol=0.02)


def test_a_blend_is_nearer_to_the_truth_than_either():
    generator = torch.Generator().manual_seed(1)
    truth = torch.randn(N, N, N, generator=generator)
    halves = [DensityMap(truth + 2 * torch.randn(truth.shape, generator=generator), 10.0) for _ in range(2)]
    given = truth + torch.randn(truth.shape, generator=generator)
    start = StartingMap(DensityMap(given * 7, 10.0), torch.ones(N // 2 + 1))  # of whatever scale
    of_average, added = start.blend(halves, torch.ones_like(truth), torch.full((N // 2 + 1,), 0.2))
    assert of_average.shape == (N // 2 + 1,)
    blended = weigh_shells(halves[0], of_average).density + added.density

    filtered = weigh_shells(DensityMap(truth, 10.0), torch.ones(N // 2 + 1)).density

    def likeness(volume):
        return float(torch.corrcoef(torch.stack([volume.flatten(), filtered.flatten()]))[0, 1])

    within = torch.ones(N // 2 + 1)
    alone = [weigh_shells(DensityMap(volume, 10.0), within).density for volume in (halves[0].density, given)]
    assert likeness(blended) > max(map(likeness, alone)) + 0.02
