"""Particles seen from their common average: nothing is left where they agree, and what differs is in place."""

from pathlib import Path

import pytest
import torch

from torchsag.classification.classifier import Division, run
from torchsag.classification.evidence import Views
from torchsag.classification.first_classes import GivenReferences, ListedClasses, RandomLabels
from torchsag.classification.frame import CommonFrame
from torchsag.classification.mco_exmx import MCOEXMX
from torchsag.classification.membership import best, labels
from torchsag.classification.membership import poses as poses_of
from torchsag.classification.population import Population
from torchsag.classification.settling import settle
from torchsag.classification.wedge_pca import WedgePCA, constrained_correlations
from torchsag.errors import InputError
from torchsag.evaluation.class_agreement import adjusted_rand_index
from torchsag.geometry import Poses, Symmetry, rotvec_to_matrix
from torchsag.imaging.masks import spherical_mask
from torchsag.io import write_map
from torchsag.io.volumes import read_volume
from torchsag.parallel import Serial
from torchsag.particles import DensityMap, ParticleSet, Transfer, VolumeSource
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import CappedPhantom, GroelPhantom

N, VOXEL, SHELL = 24, 14.0, 7
C7, D7 = Symmetry("C7"), Symmetry("D7")


@pytest.fixture(scope="module")
def maps():
    return GroelPhantom().density(N, VOXEL), CappedPhantom().density(N, VOXEL)


def views(frame, structure, count, snr=0.3, turn=None, seed=0):
    particles, poses = simulate_particles(structure, count, snr, max_shift=1.0, seed=seed)
    rotations = poses.rotations if turn is None else poses.rotations @ turn
    return frame.views(particles, Poses(rotations[:, None], poses.shifts[:, None]))


def test_a_particle_of_the_common_average_shows_noise_alone(maps):
    """Of unit variance in the real and in the imaginary part; a little less where the wedge's edge is interpolated."""
    frame = CommonFrame(maps[0], Symmetry("C1"), Symmetry("C1"), SHELL)
    seen = views(frame, maps[0], 12, snr=0.05)
    expected = 2 * seen.weights.sum()
    assert 0.88 < float(seen.data.abs().square().sum() / expected) < 1.02


def test_classes_show_their_difference(maps):
    frame = CommonFrame(maps[0], C7, C7, SHELL, spherical_mask(maps[0].box, 9.0))
    truth = frame.map_of((CommonFrame(maps[1], C7, C7, SHELL, frame.mask).common - frame.common)[None])[0]
    seen = views(frame, maps[1], 40, snr=0.3)
    sums = seen.sums(torch.ones(40, 1, 1))
    found = frame.map_of(sums.difference(frame.prior(0.3)))[0]
    assert float(torch.corrcoef(torch.stack([found.flatten(), truth.flatten()]))[0, 1]) > 0.95


def test_a_mate_is_what_a_turned_particle_shows(maps):
    frame = CommonFrame(maps[0], C7, D7, SHELL)
    straight = views(frame, maps[1], 3)
    flipped = views(frame, maps[1], 3, turn=frame.mates[1])
    assert straight.data.shape[1] == 2
    scale = straight.data.abs().mean()
    assert float((straight.data - flipped.data.flip(1)).abs().mean() / scale) < 1e-3


def test_fit_names_the_structure_and_a_mask_keeps_the_scale(maps):
    frame = CommonFrame(maps[0], C7, C7, SHELL)
    focus = CommonFrame(maps[0], C7, C7, SHELL, spherical_mask(maps[0].box, 9.0))
    gains = []
    for chosen in (frame, focus):
        capped = CommonFrame(maps[1], C7, C7, SHELL, chosen.mask).common - chosen.common
        both = torch.stack([capped, torch.zeros_like(capped)])
        for structure, sign in zip(maps, (-1, 1), strict=True):
            fit = views(chosen, structure, 6, snr=0.1).fit(both, 7)[:, 0]
            fit = fit[:, 0] - fit[:, 1]
            assert bool((sign * fit > 0).all())
            gains.append(float(fit.mean()))
    assert gains[3] == pytest.approx(gains[1], rel=0.35)


def test_a_wrong_pose_is_no_class(maps):
    """Among candidate poses the true one wins, though what a wrong one leaves over would make a class of its own."""
    particles, poses = simulate_particles(maps[0], 12, 0.3, max_shift=1.0)
    turn = rotvec_to_matrix(torch.tensor([0.4, 0.0, 0.1]))
    rotations = torch.stack([poses.rotations, poses.rotations @ turn], 1)
    frame = CommonFrame(maps[0], C7, C7, SHELL)
    seen = frame.views(particles, Poses(rotations, poses.shifts[:, None].repeat(1, 2, 1)))
    population = Population([range(12)], lambda rows: seen, frame.prior(0.3), frame.common, True, 2, Serial())
    wrong = torch.zeros(12, 2, 3)
    wrong[:, 1, 1] = 1
    scores = population.scores(wrong, population.sums(wrong))
    assert poses_of(best(scores)).tolist() == [0] * 12
    assert float(scores[:, :, 2].abs().mean() / scores[:, 0, 0].mean()) < 0.05  # noise explains nothing, anywhere


def test_wedges_alone_make_no_classes(maps):
    """Particles of one kind, of which a narrow wedge shows different sides, end in one class from four."""
    particles, poses = simulate_particles(maps[0], 24, 0.2, tilt_min_deg=-40.0, tilt_max_deg=40.0, max_shift=1.0)
    frame = CommonFrame(maps[0], Symmetry("C1"), Symmetry("C1"), SHELL, spherical_mask(maps[0].box, 9.0))
    seen = frame.views(particles, Poses(poses.rotations[:, None], poses.shifts[:, None]))
    population = Population([range(24)], lambda rows: seen, frame.prior(0.3), frame.common, False, 1, Serial())
    by_wedge = poses.rotations[:, 2, 2].abs().argsort().argsort() // 6
    start = torch.nn.functional.one_hot(by_wedge, 4).float()[:, None]
    division = run(MCOEXMX(), population, Division.of(start), 0)
    assert settle(population, division.best, torch.zeros(1, 1, dtype=torch.long)).shape[2] == 1


def test_principal_components_separate_structures(maps):
    frame = CommonFrame(maps[0], C7, C7, SHELL, spherical_mask(maps[0].box, 9.0))
    parts = [views(frame, structure, 15, snr=0.1, seed=seed) for seed, structure in enumerate(maps)]
    both = _together(parts)
    similarity = constrained_correlations(both)
    assert torch.allclose(similarity.diagonal(), torch.ones(30), atol=0.3)
    method = WedgePCA(components=2)
    found = method.clusters(method.coordinates(both), 2, seed=0)
    assert adjusted_rand_index(found, torch.arange(30) // 15) > 0.8
    with pytest.raises(InputError, match="wedge_pca"):
        WedgePCA(components=0)


def test_first_classes(maps, tmp_path):
    frame = CommonFrame(maps[0], C7, C7, SHELL)
    parts = [views(frame, structure, 6, snr=0.3, seed=seed) for seed, structure in enumerate(maps)]
    both = _together(parts)
    population = Population([range(12)], lambda rows: both, frame.prior(0.3), frame.common, True, 1, Serial())
    listed = _particle_set(torch.tensor([4, 4, 2] * 4))
    random = RandomLabels()(population, frame, listed, 5, 0)
    assert random.shape == (12, 1, 6)
    assert sorted(random.sum((0, 1)).tolist()) == [0, 2, 2, 2, 3, 3]
    assert labels(ListedClasses()(population, frame, listed, 5, 0)).tolist() == [1, 1, 0] * 4
    for number, one in enumerate(maps):
        write_map(tmp_path / f"{number}.mrc", DensityMap(5 * one.density, VOXEL))
    given = GivenReferences([str(tmp_path / "0.mrc"), str(tmp_path / "1.mrc")])(population, frame, listed, 5, 0)
    assert labels(given).tolist() == [0] * 6 + [1] * 6
    with pytest.raises(InputError, match="list with a class column"):
        ListedClasses()(population, frame, _particle_set(None), 5, 0)
    with pytest.raises(InputError, match="at most one class per particle"):
        RandomLabels()(population, frame, listed, 13, 0)
    with pytest.raises(InputError, match="at least two maps"):
        GivenReferences(["one.mrc"])


def _together(parts):
    names = ("data", "weights", "power", "common")
    return Views(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def _particle_set(classes):
    names = tuple(str(i) for i in range(12))
    sources = tuple(VolumeSource(Path(name)) for name in names)
    return ParticleSet(names, (N, N, N), VOXEL, sources, (None,) * 12, Transfer(), read_volume, classes=classes)
