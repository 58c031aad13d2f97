from dataclasses import replace

import pytest
import torch

from torchsag.averaging.frames import bring_back, symmetrised
from torchsag.averaging.symmetry_axes import symmetry_agreement
from torchsag.geometry import Poses, Symmetry, rotvec_to_matrix
from torchsag.simulation.structures import CappedPhantom, GroelPhantom, RibosomePhantom
from torchsag.verdict.symmetry import SymmetryInMap, SymmetryNotUsed

N, VOXEL = 24, 14.0


@pytest.fixture(scope="module")
def groel():
    return GroelPhantom().density(N, VOXEL)


def test_a_symmetric_map_is_believed_with_noise_on_it(groel):
    noise = torch.randn(N, N, N, generator=torch.Generator().manual_seed(0))
    noisy = replace(groel, density=groel.density + 0.3 * groel.density.std() * noise)
    for volume, name in ((groel, "D7"), (groel, "C7"), (noisy, "D7"), (groel, "C1")):
        assert SymmetryInMap()(volume, Symmetry(name)) is None


def test_a_symmetry_that_a_map_has_not_is_found():
    found = SymmetryInMap()(RibosomePhantom().density(N, VOXEL), Symmetry("D7"))
    assert (found.code, found.severity) == ("symmetry_not_in_reference", "wrong")
    assert found.evidence["agreement"] < 0.7


@pytest.mark.slow
def test_a_symmetry_that_a_map_has_nearly_is_doubted():
    found = SymmetryInMap()(CappedPhantom().density(N, VOXEL), Symmetry("D7"))
    assert found.code == "symmetry_not_in_reference"
    assert found.evidence["agreement"] < 0.96


def test_other_axes_are_found(groel):
    pose = Poses(rotvec_to_matrix(torch.tensor([[0.9, 0.3, 0.0]])), torch.tensor([[0.5, 0.0, -0.5]]))
    found = SymmetryInMap()(bring_back(groel, pose), Symmetry("D7"))
    assert (found.code, found.severity) == ("symmetry_axes_differ", "wrong")
    assert found.evidence["agreement_at_best_axes"] > 0.96


@pytest.mark.slow
def test_axes_a_few_degrees_away_are_found_by_what_is_missing(groel):
    pose = Poses(rotvec_to_matrix(torch.tensor([[0.3, 0.0, 0.0]])), torch.zeros(1, 3))
    found = SymmetryInMap()(bring_back(groel, pose), Symmetry("D7"))
    assert found.evidence["agreement"] > 0.8
    assert found.code == "symmetry_axes_differ"


def test_a_symmetrised_map_has_the_symmetry():
    ribosome, symmetry = RibosomePhantom().density(N, VOXEL), Symmetry("C4")
    made = symmetrised(ribosome, symmetry)
    assert float(symmetry_agreement(made, symmetry, 6, Poses.identity(1)).min()) > 0.98
    assert symmetrised(ribosome, Symmetry("C1")) is ribosome


def test_a_symmetry_that_is_there_but_was_not_given_is_said_and_doubted_beside_errors(groel):
    found = SymmetryNotUsed()(groel, Symmetry("C1"))
    assert (found.code, found.severity) == ("symmetry_not_used", "note")
    assert found.evidence["symmetry"] == "D7"
    assert SymmetryNotUsed()(groel, Symmetry("C7")).evidence["symmetry"] == "D7"
    assert SymmetryNotUsed()(groel, Symmetry("C1"), with_truth=True).severity == "doubt"
    assert SymmetryNotUsed()(groel, Symmetry("D7")) is None


def test_no_symmetry_is_seen_in_a_map_without_it_or_with_it_nearly():
    assert SymmetryNotUsed()(RibosomePhantom().density(N, VOXEL), Symmetry("C1")) is None
    assert SymmetryNotUsed()(CappedPhantom().density(N, VOXEL), Symmetry("C7")) is None
    octahedral = symmetrised(RibosomePhantom().density(N, VOXEL), Symmetry("O"))
    assert SymmetryNotUsed()(octahedral, Symmetry("C4")).evidence["symmetry"] == "O"
