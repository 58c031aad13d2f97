"""Tilt stacks tell a reference from its mirror image; volumes are taken as they are."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from tilt_projects import Project

import torchsag
from torchsag.fourier import half_frequencies
from torchsag.geometry import Symmetry, rotation_distance
from torchsag.imaging.placement import place_spectrum
from torchsag.io import read_particles
from torchsag.particles import DensityMap
from torchsag.runs.hand import mirror_image, shows_mirror_image
from torchsag.spectra.gridding import ContinuousSpectrum

ANGLES = tuple((37.0 * k, 20.0 + 19 * k, -50.0 + 61 * k) for k in range(8))


@dataclass
class _ScoreAtListedPoses:
    """Stands in for an aligner: correlation with the reference where the list says it is."""

    prepared: int = 0

    def prepare(self, reference, symmetry, device):
        self.prepared += 1
        spectrum = ContinuousSpectrum.of(reference.density)

        def score(batch):
            placed = place_spectrum(spectrum, batch.poses) * batch.weights[batch.weight_index]
            inside = half_frequencies(batch.box).norm(dim=-1) < 0.3
            cross = (batch.spectra * placed.conj()).real[:, inside].sum(-1)
            norms = batch.spectra[:, inside].norm(dim=-1) * placed[:, inside].norm(dim=-1)
            return SimpleNamespace(scores=cross / norms)

        return score


@pytest.fixture
def stacks(tmp_path, blobs):
    structure = blobs(radius=5.0, count=12)
    still = tuple((0.0, 0.0, 0.0) for _ in ANGLES)
    project = Project(structure.centres, structure.heights, angles=ANGLES, origins=still, positions=still)
    return read_particles(project.write_relion5(tmp_path)), DensityMap(structure.map(24), 8.0)


def test_the_hand_is_found(stacks):
    particles, reference = stacks
    method = _ScoreAtListedPoses()
    assert not shows_mirror_image(particles, reference, method, Symmetry("C1"), torch.device("cpu"))
    assert shows_mirror_image(particles, reference.mirrored("z"), method, Symmetry("C1"), torch.device("cpu"))


def test_few_particles_and_a_structure_that_is_its_own_mirror_image_leave_the_reference(stacks):
    particles, reference = stacks
    method = _ScoreAtListedPoses()
    assert not shows_mirror_image(
        particles.select(range(4)), reference.mirrored("z"), method, Symmetry("C1"), torch.device("cpu")
    )
    assert method.prepared == 0
    achiral = DensityMap(reference.density + reference.mirrored("z").density, 8.0)
    assert not shows_mirror_image(particles, achiral, method, Symmetry("C1"), torch.device("cpu"))


def test_volumes_are_taken_as_they_are(tmp_path):
    import numpy as np

    from torchsag.io.mrc import write_mrc

    for k in range(8):
        write_mrc(tmp_path / f"p{k}.mrc", np.random.default_rng(k).normal(size=(8, 8, 8)), 4.0)
    method = _ScoreAtListedPoses()
    reference = DensityMap(torch.randn(8, 8, 8), 4.0)  # never looked at
    assert not shows_mirror_image(read_particles(tmp_path), reference, method, Symmetry("C1"), torch.device("cpu"))
    assert method.prepared == 0


@pytest.mark.parametrize(("mirror", "doubted"), [(None, True), pytest.param(True, False, marks=pytest.mark.slow)])
def test_a_reference_that_was_mirrored_unasked_is_a_doubt_of_the_verdict(stacks, tmp_path, mirror, doubted):
    particles, reference = stacks
    torchsag.align(particles, reference.mirrored(), out=tmp_path / "out", mirror=mirror)
    verdict = json.loads((tmp_path / "out" / "metrics.json").read_text())["verdict"]
    said = {finding["code"]: finding["severity"] for finding in verdict["findings"]}
    assert ("hand_opposite" in said) == doubted
    assert said.get("hand_opposite", "doubt") == "doubt"


@pytest.mark.parametrize(("symmetry", "axis"), [*((name, "z") for name in ("C1", "C7", "D7", "O", "I")), ("T", "x")])
def test_the_mirror_image_counts_z_backwards_unless_that_turns_the_axes_of_a_group(symmetry, axis):
    reference = DensityMap(torch.randn(6, 6, 6, generator=torch.Generator().manual_seed(1)), 4.0)
    assert torch.equal(mirror_image(reference, Symmetry(symmetry)).density, reference.mirrored(axis).density)


def test_poses_from_a_reference_of_the_other_hand_are_those_of_the_list(stacks):
    particles, reference = stacks
    found = torchsag.align(particles, reference.mirrored("z"), mirror=True)
    apart = rotation_distance(found.poses.rotations.double(), particles.poses.rotations)
    assert float(apart.max()) < 0.1
