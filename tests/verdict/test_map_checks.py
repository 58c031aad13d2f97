"""Curves, iterations, views, values, halves and copies, each judged right and wrong."""

import math
import shutil
from dataclasses import replace

import pytest
import torch

from torchsag.averaging.frames import symmetrised
from torchsag.evaluation.half_map_fsc import compare_half_maps
from torchsag.evaluation.wedge_dependence import WedgeDependence
from torchsag.fourier import low_pass
from torchsag.geometry import Symmetry, random_rotations, rotvec_to_matrix
from torchsag.imaging.masks import spherical_mask
from torchsag.io import read_particles, write_map
from torchsag.particles import DensityMap, ParticleSet
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import RibosomePhantom
from torchsag.verdict.certainty import FewParticles, crossing_range, independent_pairs
from torchsag.verdict.contrast import DarkAverage, SomeOpposite
from torchsag.verdict.copies import CopiesInBothHalves, close_positions, same_file, same_voxels
from torchsag.verdict.halves import HalvesOfListedPoses
from torchsag.verdict.input import judge_input
from torchsag.verdict.progress import GotWorse, NotConverged
from torchsag.verdict.resolution import CommonNoise, FSCNeverFalls, MaskRaisesFSC, MaskTooSmall, NoiseAlone
from torchsag.verdict.small_box import SmallBox
from torchsag.verdict.values import Extent, OutlierVoxels, ScaleExtreme
from torchsag.verdict.views import OrientationGap, WedgeExplainsClass, measured_directions
from torchsag.verdict.wedge import NoWedge

N, VOXEL = 32, 12.0
SHAPE = (N, N, N)


def judged(particles, halves):
    """What is said of particles but for the size of their boxes, which is small here."""
    return [found for found in judge_input(particles, halves) if found is not None and found.code != SmallBox.code]


def half_maps(noise, shared=0.0, seed=0):
    """A structure, with noise of each half and noise that both share."""
    generator = torch.Generator().manual_seed(seed)
    structure = RibosomePhantom().density(N, VOXEL).density
    structure = low_pass(structure / structure.std(), 40.0, VOXEL)
    common = shared * torch.randn(SHAPE, generator=generator)
    return [DensityMap(structure + common + noise * torch.randn(SHAPE, generator=generator), VOXEL) for _ in range(2)]


def noise_maps(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [DensityMap(torch.randn(SHAPE, generator=generator), VOXEL) for _ in range(2)]


def code(finding):
    return None if finding is None else (finding.code, finding.severity)


def test_a_resolution_no_finer_than_the_start_is_noise():
    assert code(NoiseAlone()(compare_half_maps(*noise_maps()), 60.0)) == ("noise_alone", "wrong")
    assert NoiseAlone()(compare_half_maps(*half_maps(0.3)), 60.0) is None


def test_noise_in_common_is_found_where_the_particle_is_not():
    good, copies = half_maps(0.5), half_maps(0.05, shared=1.0)
    assert abs(CommonNoise.of(*good).correlation) < 4 * CommonNoise.of(*good).error
    assert CommonNoise.of(*half_maps(1e-3)).correlation == 0  # the ripples of a particle without noise
    assert CommonNoise.of(*copies).correlation > 0.9
    check = FSCNeverFalls()
    assert check(compare_half_maps(*good), CommonNoise.of(*good)) is None
    assert code(check(compare_half_maps(*copies), CommonNoise.of(*copies))) == ("fsc_never_falls", "wrong")
    partly = half_maps(1.0, shared=0.4)
    assert code(check(compare_half_maps(*partly), CommonNoise.of(*partly))) == ("fsc_never_falls", "doubt")


def test_weak_noise_in_common_beside_a_strong_particle_is_found():
    maps = half_maps(0.1, shared=0.1)
    assert code(FSCNeverFalls()(compare_half_maps(*maps), CommonNoise.of(*maps))) is not None


def test_symmetry_leaves_less_noise_to_compare_and_masked_maps_none():
    symmetry = Symmetry("I")
    maps = [symmetrised(m, symmetry) for m in noise_maps()]
    common = CommonNoise.of(*maps, symmetry.order)
    assert common.error == pytest.approx(60**0.5 * CommonNoise.of(*noise_maps()).error)
    assert abs(common.correlation) < 4 * common.error
    masked = [replace(m, density=m.density * spherical_mask(SHAPE, 12.0, 2.0)) for m in noise_maps()]
    assert CommonNoise.of(*masked).correlation == 0


def test_a_resolution_of_the_voxel_size_is_worth_a_note():
    structure = RibosomePhantom().density(N, VOXEL).density
    fine = [DensityMap(structure + 1e-3 * m.density, VOXEL) for m in noise_maps()]
    found = FSCNeverFalls()(compare_half_maps(*fine), CommonNoise.of(*fine))
    assert code(found) == ("resolution_at_nyquist", "note")


def test_a_mask_of_a_few_voxels_is_found():
    first, second = half_maps(1.0)
    for radius, expected in ((2.0, ("mask_too_small", "wrong")), (11.0, None)):
        mask = spherical_mask(SHAPE, radius, 2.0)
        fsc = compare_half_maps(first, second, mask)
        fsc = replace(fsc, corrected=torch.where(torch.arange(N // 2 + 1) < 9, 0.9, 0.0))
        assert code(MaskTooSmall()(fsc, mask)) == expected


def test_a_mask_that_agrees_with_itself_is_found():
    offset = [DensityMap(m.density + 3.0, VOXEL) for m in noise_maps()]
    sharp = (spherical_mask(SHAPE, 6.0, 0.0) > 0.5).float()
    fsc = compare_half_maps(*offset, sharp)
    claimed = replace(fsc, corrected=torch.ones_like(fsc.corrected))
    assert code(MaskRaisesFSC()(claimed)) == ("mask_raises_fsc", "doubt")
    assert MaskRaisesFSC()(compare_half_maps(*half_maps(0.5), spherical_mask(SHAPE, 12.0, 6.0))) is None


def rows(*areas):
    return [{"iteration": i, "fsc_area_shells": area} for i, area in enumerate(areas, start=1)]


def test_iterations_that_got_worse_or_still_got_better_are_found():
    assert code(GotWorse()(rows(4.7, 3.7, 3.5), 1)) == ("got_worse", "doubt")
    assert GotWorse()(rows(4.0, 4.7, 4.6), 2) is None
    assert code(NotConverged()(rows(3.0, 4.0, 4.7), 3)) == ("not_converged", "note")
    assert NotConverged()(rows(4.0, 4.7, 4.71), 3) is None
    assert NotConverged()(rows(3.0, 4.0), 12) is None


def test_a_crossing_that_chance_could_move_far_means_few_particles():
    shells = torch.arange(N // 2 + 1)
    fsc, mask = compare_half_maps(*half_maps(0.5)), spherical_mask(SHAPE, 10.0, 4.0)
    slow = replace(fsc, corrected=(0.8 - 0.06 * shells).clamp_min(0.0))
    steep = replace(fsc, corrected=torch.sigmoid((8.0 - shells) * 2.0))
    found = FewParticles()(slow, mask, 1, 20)
    assert code(found) == ("few_particles", "doubt")
    coarse, fine = found.evidence["resolution_0.143_range_angstrom"]
    assert coarse > slow.resolution() > fine
    assert FewParticles()(steep, mask, 1, 20) is None
    assert FewParticles()(steep, mask, 14, 20) is not None  # the mates of a particle are not independent


def test_the_spread_of_a_curve_is_foretold():
    generator = torch.Generator().manual_seed(0)
    mask = spherical_mask(SHAPE, 10.0, 4.0)
    curves = []
    for _ in range(25):
        signal = torch.randn(SHAPE, generator=generator)
        fsc = compare_half_maps(
            *(DensityMap(signal + torch.randn(SHAPE, generator=generator), VOXEL) for _ in range(2)), mask
        )
        curves.append(fsc.masked)
    spread = torch.stack(curves).atanh().std(0)[4:]
    foretold = (2 * independent_pairs(fsc, mask) - 2)[4:].rsqrt()
    assert 0.8 < float((foretold / spread).log().mean().exp()) < 1.5
    coarse, fine = crossing_range(replace(fsc, corrected=torch.full((N // 2 + 1,), 0.9)), independent_pairs(fsc), 3.0)
    assert coarse == fine == 2 * VOXEL


def test_directions_that_nothing_was_measured_in_are_found():
    batch, _ = simulate_particles(RibosomePhantom().density(16, 24.0), 12, 0.1)
    spread = random_rotations(12, torch.Generator().manual_seed(0)).float()
    turns = torch.linspace(0, 6, 12)
    upright = rotvec_to_matrix(torch.stack([0 * turns, 0 * turns, turns], -1))  # the wedge always along z
    lying = rotvec_to_matrix(torch.tensor([[math.pi / 2, 0.0, 0.0]]).expand(12, 3))
    c1 = Symmetry("C1")
    assert OrientationGap()(measured_directions(batch, spread, c1)) is None
    for rotations in (upright, lying):
        measured = measured_directions(batch, rotations, c1)
        assert float(measured.mean()) == pytest.approx(1.0, abs=1e-4)
        assert code(OrientationGap()(measured)) == ("orientation_gap", "doubt")
    # A symmetry fills what it repeats.
    assert OrientationGap()(measured_directions(batch, lying, Symmetry("O"))) is None


def test_classes_that_follow_the_wedge_are_found():
    assert code(WedgeExplainsClass()(WedgeDependence(0.4, 0.05, 0.001))) == ("wedge_explains_class", "doubt")
    assert WedgeExplainsClass()(WedgeDependence(0.06, 0.05, 0.001)) is None
    assert WedgeExplainsClass()(WedgeDependence(0.4, 0.3, 0.2)) is None


def test_hot_voxels_and_unlike_scales_are_found_at_any_scale():
    volume = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    hot = volume.clone()
    hot[3, 4, 5] = 100.0
    for factor in (1e-8, 1.0, 1e18):
        extents = [Extent.of(v * factor) for v in (volume, volume, hot)]
        assert extents[0].scale == pytest.approx(factor, rel=0.02)
        found = OutlierVoxels()(("a", "b", "c"), extents)
        assert code(found) == ("outlier_voxels", "doubt")
        assert found.evidence["worst"] == "c"
        assert ScaleExtreme()(("a", "b", "c"), extents) is None
        assert OutlierVoxels()(("a", "b"), extents[:2]) is None
    mixed = [Extent.of(volume), Extent.of(volume), Extent.of(volume * 1e3)]
    assert code(ScaleExtreme()(("a", "b", "c"), mixed)) == ("scale_extreme", "doubt")
    # A particle without any noise is no outlier.
    assert OutlierVoxels()(("r",), [Extent.of(RibosomePhantom().density(N, VOXEL).density)]) is None


@pytest.mark.parametrize(
    ("listed", "used", "starts", "expected"),
    [
        (True, True, True, ("halves_listed", "note")),
        (True, False, True, ("halves_redrawn", "doubt")),
        (True, False, False, ("halves_redrawn", "note")),
        (False, False, True, ("halves_leak", "note")),
        (False, False, False, None),
    ],
)
def test_halves_are_compared_with_the_list(listed, used, starts, expected):
    assert code(HalvesOfListedPoses()(listed, used, starts)) == expected


@pytest.fixture
def copied(tmp_path):
    """Four particles: 0 and 1 are one file by a link, 2 is a copy of 3, in other halves."""
    generator = torch.Generator().manual_seed(0)
    for name in ("a", "c"):
        write_map(tmp_path / f"{name}.mrc", DensityMap(torch.randn(8, 8, 8, generator=generator), 5.0))
    (tmp_path / "b.mrc").symlink_to(tmp_path / "a.mrc")
    shutil.copy(tmp_path / "c.mrc", tmp_path / "d.mrc")
    text = "volume,tilt_min_deg,tilt_max_deg,half\n"
    text += "".join(f"{n}.mrc,-60,60,{h}\n" for n, h in zip("abcd", (1, 1, 1, 2), strict=True))
    (tmp_path / "list.csv").write_text(text)
    return read_particles(str(tmp_path / "list.csv"))


def test_copies_are_found_whatever_they_are_called(copied):
    assert same_file(copied) == [(0, 1)]
    assert set(same_voxels(copied)) == {(0, 1), (2, 3)}
    found = judged(copied, copied.halves)
    assert [code(f) for f in found] == [("copies_in_both_halves", "wrong")]
    assert found[0].evidence["across_halves"] == 1
    inside = CopiesInBothHalves()(copied, [(0, 1)], [], copied.halves)
    assert code(inside) == ("copies_in_both_halves", "note")
    assert code(CopiesInBothHalves()(copied, [(0, 1)], [], None)) == ("copies_in_both_halves", "doubt")
    assert CopiesInBothHalves()(copied, [], [], None) is None


def test_particles_of_which_no_wedge_is_known_are_a_doubt():
    volumes = torch.randn(3, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    silent = ParticleSet.from_arrays(volumes, 5.0)
    assert [code(f) for f in judged(silent, None)] == [("no_wedge", "doubt")]
    everything = ParticleSet.from_arrays(volumes, 5.0, tilt_range=(-90, 90))
    assert judged(everything, None) == []
    assert bool((everything.load([0]).weights == 1).all())  # and to say so changes nothing else
    some = NoWedge()(replace(everything, weights=(None, *everything.weights[1:])))
    assert some is not None
    assert some.evidence == {"particles": 1, "of": 3}


def test_close_positions_count_within_a_tomogram():
    places = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [math.nan, 0, 0], [50, 0, 0]])
    assert close_positions(places, ("t", "t", "u", "t", "t"), 2.0) == [(0, 1)]
    assert len(close_positions(places, None, 2.0)) == 3


def test_one_position_for_all_particles_of_a_tomogram_is_none():
    places = torch.tensor([[1.0, 1, 1], [1, 1, 1], [1, 1, 1], [9, 1, 1], [9.5, 1, 1]])
    assert close_positions(places, ("t", "t", "t", "u", "u"), 2.0) == [(3, 4)]


def test_particles_picked_twice_are_found_by_their_places_in_the_list(tmp_path):
    generator = torch.Generator().manual_seed(0)
    head, rows = "volume,tilt_min_deg,tilt_max_deg,tomogram,x,y,z,half", []
    for i in range(6):
        write_map(tmp_path / f"p{i}.mrc", DensityMap(torch.randn(16, 16, 16, generator=generator), 5.0))
        rows.append(f"p{i}.mrc,-60,60,t{i % 2},{100 * (i // 2)},50,50,{1 + i // 2 % 2}")
    (tmp_path / "p.csv").write_text("\n".join([head, *rows]) + "\n")
    particles = read_particles(str(tmp_path / "p.csv"))
    assert judged(particles, particles.halves) == []
    rows[2] = "p2.mrc,-60,60,t0,1,50,49,2"  # beside particle 0, 1.4 of 16 voxels away, in the other half
    (tmp_path / "p.csv").write_text("\n".join([head, *rows]) + "\n")
    particles = read_particles(str(tmp_path / "p.csv"))
    (found,) = judged(particles, particles.halves)
    assert code(found) == ("copies_in_both_halves", "doubt")
    assert "closer to each other than 10 angstrom (p0.mrc and p2.mrc)" in found.text
    torch.testing.assert_close(particles.select([2]).places, torch.tensor([[5.0, 250.0, 245.0]], dtype=torch.float64))
    # Without names of tomograms positions of different ones cannot be compared.
    assert judged(replace(particles, tomograms=None), particles.halves) == []
    assert [code(f) for f in judged(particles, None)] == [("copies_in_both_halves", "note")]


def test_an_average_of_dark_particles_is_told():
    mask = spherical_mask(SHAPE, 13.0, 4.0)
    bright = half_maps(1.0)
    dark = [replace(half, density=-half.density) for half in bright]
    check = DarkAverage()
    assert check(*bright, compare_half_maps(*bright, mask)) is None
    assert code(check(*dark, compare_half_maps(*dark, mask))) == ("average_is_dark", "note")
    assert check(*noise_maps(), compare_half_maps(*noise_maps(), mask)) is None
    # One half alone shows nothing.
    assert check(bright[0], dark[1], compare_half_maps(*bright, mask)) is None


def test_a_few_particles_that_prefer_the_inverted_average_are_told():
    scores = torch.full((8,), 10.0)
    inverted = torch.tensor([15.0, 15.0, 5, 5, 5, 5, 5, 13])
    assert code(SomeOpposite()(scores, inverted)) == ("contrast_opposite", "doubt")
    assert SomeOpposite()(scores, inverted.clamp_max(13.0)) is None
    assert SomeOpposite()(scores[1:], inverted[1:]) is None


def test_a_symmetric_map_that_is_sure_further_out_is_not_doubted_for_its_first_shells():
    # As of sixteen GroEL of SNR 0.1: shell 3 has less than two independent pairs, shell 10 tells enough.
    shells = torch.arange(N // 2 + 1)
    fsc, mask = compare_half_maps(*half_maps(0.5)), spherical_mask(SHAPE, 16.0, 4.0)
    curve = (0.985 * torch.sigmoid((14.5 - shells) * 1.5)).where(shells > 3, torch.tensor(0.97))
    assert FewParticles()(replace(fsc, corrected=curve), mask, 14, 16) is None
    poor = replace(fsc, corrected=curve * torch.sigmoid((4.0 - shells) * 0.7))
    assert code(FewParticles()(poor, mask, 14, 16)) == ("few_particles", "doubt")
