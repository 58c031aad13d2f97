"""What of a reference stands out from its background, and what particles say of the rest."""

import math
from functools import cache

import torch

from torchsag.imaging.masks import centred_radius
from torchsag.likelihood.reference_amplitude import ShellFit
from torchsag.likelihood.reference_strength import ReferenceStrength, standing_out, strength_of
from torchsag.simulation import density_of, ribosome_phantom

BOX, SHELLS = 48, 10
WHOLE = torch.ones(SHELLS)


@cache
def _maps():
    exact = density_of(ribosome_phantom(), BOX, 8.0, 20.0).density
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(0)) * exact.std()
    return exact, noise


def _around(part):
    return part[centred_radius((BOX, BOX, BOX)) > 20].mean()


def test_noise_around_a_particle_does_not_stand_out():
    exact, noise = _maps()
    part = standing_out(exact + noise, WHOLE, SHELLS)
    assert float(_around(part)) < 0.02
    assert float((part * exact).square().sum() / exact.square().sum()) > 0.9
    assert float((part - part.square()).abs().min()) >= 0  # between 0 and 1


def test_all_of_a_map_without_background_stands_out():
    exact, _ = _maps()
    part = standing_out(exact, torch.ones(22), 22)
    assert float((part * exact - exact).norm() / exact.norm()) < 1e-3


def test_what_particles_do_not_confirm_hides_nothing():
    """Noise of high frequency alone: where it is known to be noise, more of the particle stands out."""
    exact, noise = _maps()
    seen = exact + 3 * noise
    known = standing_out(seen, torch.tensor([1.0] * 5 + [0.0] * 5), SHELLS)
    unknown = standing_out(seen, WHOLE, SHELLS)
    kept = [float((part * exact).square().sum()) for part in (known, unknown)]
    assert kept[0] > 1.2 * kept[1]


def test_the_rest_is_as_strong_as_it_was_found_to_be():
    exact, noise = _maps()
    part = standing_out(exact + noise, WHOLE, SHELLS)
    seen = exact + noise
    assert ReferenceStrength(WHOLE).weighed(seen, part) is seen
    alone = ReferenceStrength(WHOLE, torch.zeros(SHELLS)).weighed(seen, part)
    torch.testing.assert_close(alone, part * seen)
    half = ReferenceStrength(WHOLE, torch.full((SHELLS,), 0.5)).weighed(seen, part)
    inner, outer = (torch.fft.rfftn(half - alone), torch.fft.rfftn(seen - alone))
    k = (3, 2, 4)
    assert math.isclose(abs(complex(inner[k]) / complex(outer[k]) - 0.5), 0, abs_tol=1e-3)


def _fit(explained, expected):
    return ShellFit(torch.tensor(explained), torch.tensor(expected))


def test_a_part_that_is_in_the_particles_is_no_background():
    """Two parts of equal strength: together they explain more than one alone, and nothing is divided."""
    found = strength_of(
        _fit([100.0, 100.0], [100.0, 100.0]), _fit([40.0] * 2, [40.0] * 2), _fit([140.0] * 2, [140.0] * 2)
    )
    assert found.surroundings is None
    torch.testing.assert_close(found.amplitude, torch.ones(2), atol=0.02, rtol=0)


def test_noise_is_background():
    """The rest explains nothing, and both together less than the first alone."""
    found = strength_of(
        _fit([100.0, 50.0], [100.0, 100.0]), _fit([0.0] * 2, [90.0] * 2), _fit([100.0, 50.0], [190.0] * 2)
    )
    assert found.surroundings is not None
    assert torch.equal(found.surroundings, torch.zeros(2))


def test_what_both_parts_share_counts_once():
    """The rest is noise that has an edge in common with the first part: it explains no more than that edge does."""
    found = strength_of(_fit([100.0], [100.0]), _fit([20.0], [80.0]), _fit([120.0], [220.0]))
    assert found.surroundings is not None
    assert float(found.surroundings[0]) == 0.0


def test_particles_that_show_nothing_leave_a_reference_at_its_word():
    assert torch.equal(strength_of(_fit([0.0, 0.1], [100.0, 100.0])).amplitude, torch.ones(2))


def test_other_numbers_of_shells():
    short = ReferenceStrength(torch.tensor([1.0, 2.0]), torch.tensor([0.1, 0.2])).within(3)
    assert short.amplitude.tolist() == [1.0, 2.0, 2.0]
    assert short.surroundings is not None
    torch.testing.assert_close(short.surroundings, torch.tensor([0.1, 0.2, 0.2]))
