"""Whether particles know a reference: each wrong reference is found, the right one is not complained of."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from torchsag.alignment.chen_frm import ChenFRM
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Poses
from torchsag.io import read_particles, write_map
from torchsag.particles import DensityMap
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import GroelPhantom, RibosomePhantom
from torchsag.verdict import sample
from torchsag.verdict.alignment import judge_reference, meaningless_errors
from torchsag.verdict.chance import means_something, paired_p, paired_t
from torchsag.verdict.reference import (
    ContrastOpposite,
    HandOpposite,
    NoBetterThanChance,
    ShiftsAtSearchRadius,
)
from torchsag.verdict.sample import Matches, SearchRadius, meaningless, sample_rows, search_radius

N, VOXEL, COUNT = 32, 12.0, 8


@cache
def ribosome():
    return RibosomePhantom().density(N, VOXEL)


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ribosomes")
    batch, _ = simulate_particles(ribosome(), COUNT, 0.1, max_shift=1.0, seed=4)
    return written(folder, batch.volumes)


def written(folder, volumes):
    for i, volume in enumerate(volumes):
        write_map(folder / f"p{i}.mrc", DensityMap(volume, VOXEL))
    return read_particles(str(folder), tilt_min_deg=-60.0, tilt_max_deg=60.0)


def radius(fraction=0.125):
    return SearchRadius(fraction, "method.search.max_shift")


def codes(particles, reference, max_shift=0.125, centres=None):
    found = judge_reference(particles, reference, radius(max_shift), centres)
    return {finding.code: finding.severity for finding in found if finding is not None}


def test_the_right_reference_is_believed(particles):
    assert codes(particles, ribosome()) == {}


def test_a_reference_of_opposite_contrast_is_found(particles):
    inverted = replace(ribosome(), density=-ribosome().density)
    assert codes(particles, inverted) == {"contrast_opposite": "wrong"}


def test_some_particles_of_opposite_contrast_are_found(particles, tmp_path):
    volumes = particles.load(range(COUNT)).volumes
    volumes[:3] *= -1
    assert codes(written(tmp_path, volumes), ribosome())["contrast_opposite"] == "doubt"


def test_a_mirrored_reference_is_found(particles):
    assert codes(particles, ribosome().mirrored()) == {"hand_opposite": "wrong"}


def test_another_structure_is_found(particles):
    assert "no_better_than_chance" in codes(particles, GroelPhantom().density(N, VOXEL))


@pytest.mark.slow
def test_another_structure_of_opposite_contrast_is_chance_too(particles):
    other = GroelPhantom().density(N, VOXEL)
    assert codes(particles, replace(other, density=-other.density)) == {"no_better_than_chance": "wrong"}


def test_noise_is_found(tmp_path):
    noise = torch.randn(COUNT, N, N, N, generator=torch.Generator().manual_seed(1))
    assert codes(written(tmp_path, noise), ribosome()) == {"no_better_than_chance": "wrong"}


def test_particles_beyond_the_radius_are_found_and_listed_centres_mend_it(particles, tmp_path):
    rolled = particles.load(range(COUNT)).volumes.roll((7, -6, 5), (1, 2, 3))
    moved = written(tmp_path, rolled)
    assert codes(moved, ribosome()) == {"shifts_at_search_radius": "wrong"}
    assert codes(moved, ribosome(), centres=torch.tensor([5.0, -6.0, 7.0]).expand(COUNT, 3)) == {}


@pytest.mark.slow
def test_a_wider_search_mends_particles_beyond_the_radius(particles, tmp_path):
    rolled = particles.load(range(COUNT)).volumes.roll((7, -6, 5), (1, 2, 3))
    assert codes(written(tmp_path, rolled), ribosome(), max_shift=0.4) == {}


@pytest.mark.slow
def test_particles_just_beyond_the_radius_are_found_too(tmp_path):
    # A look whose trial shifts are 3 voxels apart does not see that they are 2 to 4 voxels outside of a radius of 8.
    batch, _ = simulate_particles(ribosome(), 10, 0.05, max_shift=1.0, seed=3)
    moved = written(tmp_path, batch.volumes.roll((6, -6, 6), (1, 2, 3)))
    assert codes(moved, ribosome(), max_shift=0.25) == {"shifts_at_search_radius": "wrong"}


@pytest.mark.parametrize(("gain", "looks"), [(0.0, [6, 6]), (0.6, [6, 6, 10, 10])])
def test_a_second_look_is_taken_where_the_first_one_seems_to_gain(gain, looks, particles, monkeypatch):
    spread, taken = torch.linspace(-1, 1, COUNT), []
    here, noise = particles.load(range(COUNT)), particles.load(range(COUNT))

    def look(batch, reference, max_shift, degree):
        taken.append(degree)
        return degree + (gain + spread if batch is here else spread.flip(0))

    monkeypatch.setattr(sample, "_gain", look)
    found, of_noise = sample._gains(here, noise, ribosome(), 0.25)
    assert taken == looks
    torch.testing.assert_close(found - of_noise, gain + 2 * spread)


def test_boxes_too_small_to_tell_are_left_alone(tmp_path):
    small = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    reference = DensityMap(torch.randn(8, 8, 8, generator=torch.Generator().manual_seed(2)), VOXEL)
    assert codes(written(tmp_path, small), reference) == {}


@pytest.mark.parametrize("scale", [1e-10, 1e9])
def test_a_meaningless_map_is_meaningless_at_any_scale(scale):
    density = RibosomePhantom().density(N, VOXEL).density
    torch.testing.assert_close(meaningless(scale * density, 3) / scale, meaningless(density, 3), rtol=1e-3, atol=1e-3)


def test_a_meaningless_map_keeps_size_and_power_and_nothing_else():
    density = ribosome().density
    drawn = meaningless(density, 3)
    assert float(drawn.std()) == pytest.approx(float(density.std()), rel=0.1)
    together = torch.corrcoef(torch.stack([drawn.flatten(), density.flatten()]))[0, 1]
    other = torch.corrcoef(torch.stack([drawn.flatten(), meaningless(density, 4).flatten()]))[0, 1]
    assert float(together) == pytest.approx(float(other), abs=0.15)  # what they share is the radial profile


def test_wrong_models_make_expected_errors_meaningless(particles):
    found = judge_reference(particles, replace(ribosome(), density=-ribosome().density), radius())
    assert meaningless_errors(f for f in found if f is not None)
    assert not meaningless_errors([])


def test_differences_without_spread_are_no_evidence():
    assert paired_t(torch.ones(5), torch.zeros(5)) == 0.0
    assert paired_t(torch.tensor([1.0]), torch.zeros(1)) == 0.0
    assert paired_t(torch.tensor([1.0, 1.1, 0.9]), torch.zeros(3)) > 10


def test_probabilities_are_those_of_student():
    first = torch.tensor([1.0, 2.0, 3.0])
    assert paired_p(first, torch.zeros(3)) == pytest.approx(0.0371, abs=1e-4)  # t = 3.46, two degrees of freedom
    assert paired_p(first, first) == 0.5


def matches(**changed):
    ten = torch.linspace(9.0, 11.0, 8)
    return replace(Matches(ten, -ten, ten, torch.zeros(6, 8), 0 * ten), **changed)


def test_a_map_without_a_hand_is_not_complained_of_however_regular_its_rounding():
    ten = matches().reference
    spread = 1 + 0.1 * torch.linspace(-1, 1, 8)
    assert HandOpposite()(matches(mirrored=ten + 0.01 * spread)) is None  # t is large, the evidence nothing
    assert HandOpposite()(matches(mirrored=ten + spread)) is not None


def test_what_a_wider_search_gains_on_noise_is_taken_off():
    steady = 1.5 + 0.1 * torch.linspace(-1, 1, 8)
    check = ShiftsAtSearchRadius()
    assert check(matches(), radius()) is None
    assert check(matches(wider=(steady, steady.flip(0))), radius()) is None
    found = check(matches(wider=(steady, 0 * steady)), radius())
    assert (found.code, found.severity) == ("shifts_at_search_radius", "wrong")
    neighbours = torch.tensor([5.0, 5.0, 0, 0, 0, 0, 0, 0])
    assert check(matches(wider=(neighbours, 0 * neighbours)), radius()).severity == "doubt"


SPREAD = torch.linspace(-1, 1, 8)


def about(mean):
    """Eight scores about a mean, other ones for each mean."""
    return mean + 0.5 * torch.randn(8, generator=torch.Generator().manual_seed(round(10 * mean)))


def nulls(mean):
    """Scores of six meaningless maps."""
    return mean + 0.2 * torch.linspace(-1, 1, 6)[:, None] + 0.5 * SPREAD


def test_a_mirror_image_that_chance_is_nearly_as_good_as_is_asked_for_its_hand():
    # The map itself is hardly better than meaningless ones, so that it would be taken for chance.
    found = matches(reference=about(11.5), mirrored=about(15.0), inverted=about(4.0), meaningless=nulls(11.4))
    assert NoBetterThanChance()(found) is not None
    assert HandOpposite()(found).severity == "wrong"
    assert HandOpposite()(replace(found, meaningless=nulls(14.9))) is None
    assert HandOpposite()(replace(found, inverted=about(20.0))) is None


def test_particles_off_the_centre_are_not_taken_for_inverted_ones():
    # Their best match within the radius is with the dark rim of the inverted map.
    gain = 4 + SPREAD, 0.3 + 0.1 * SPREAD
    found = matches(reference=about(5.0), inverted=about(7.0), mirrored=about(5.0), meaningless=nulls(5.0), wider=gain)
    assert found.likeliest == "outside"
    assert ContrastOpposite()(found) is None
    assert ShiftsAtSearchRadius()(found, radius()).severity == "wrong"
    assert ContrastOpposite()(replace(found, wider=None)).severity == "wrong"
    inverted = replace(found, inverted=about(14.0))
    assert ShiftsAtSearchRadius()(inverted, radius()) is None
    assert ContrastOpposite()(inverted).severity == "wrong"


def test_some_inverted_particles_are_those_that_nothing_else_explains():
    some = torch.tensor([12.0, 12.0, 4, 4, 4, 4, 4, 4])
    found = matches(reference=torch.tensor([6.0, 6, 13, 13, 13, 13, 13, 13]), inverted=some, mirrored=about(5.0))
    assert ContrastOpposite()(found).severity == "doubt"
    gain = torch.tensor([7.0, 7.0, 0, 0, 0, 0, 0, 0])
    assert ContrastOpposite()(replace(found, wider=(gain, 0 * gain))) is None


def test_scores_mean_something_above_further_maps_of_the_same_kind_and_for_most_particles():
    assert means_something(about(14.0), nulls(11.0), 0.02)[0]
    assert not means_something(about(11.2), nulls(11.0), 0.02)[0]
    few = torch.tensor([40.0, 11, 11, 11, 11, 11, 11, 11])
    meant, t, spread = means_something(few, nulls(11.0), 0.02)
    assert not meant
    assert t < 2 < 10 < spread


def test_a_radius_is_named_by_the_setting_that_binds():
    assert search_radius(CurvatureSAGAligner()) == SearchRadius(0.125, "method.search.max_shift")
    assert search_radius(ChenFRM(max_shift=0.2)) == SearchRadius(0.2, "method.max_shift")


def test_the_sample_is_of_distinct_rows_and_the_radius_is_the_method_s():
    rows = sample_rows(100, 10, 0)
    assert len(set(rows)) == 10
    assert rows == sorted(rows)
    assert search_radius(object()) is None


def test_recentred_particles_have_their_content_at_the_centre(particles):
    batch = replace(particles.load([0]), poses=Poses(torch.eye(3)[None], torch.tensor([[2.0, 1.0, -3.0]])))
    moved = batch.recentred(torch.tensor([[2.0, 1.0, -3.0]]))
    torch.testing.assert_close(moved.volumes, batch.volumes.roll((3, -1, -2), (1, 2, 3)), atol=1e-3, rtol=1e-3)
    assert moved.poses.shifts.abs().max() < 1e-6
