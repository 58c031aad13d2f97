"""Contract: what every aligner refuses, and what it takes in other precisions, in its own call as at the front door."""

import dataclasses
import re

import pytest
import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.alignment.given import checked_batch, checked_reference
from torchsag.app.from_python import component
from torchsag.errors import InputError
from torchsag.geometry import Symmetry
from torchsag.particles import DensityMap
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

METHODS = ["curvature_sag", "fast_matching", "chen_frm", "xu_alber", pytest.param("sag", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def reference():
    return density_of(ribosome_phantom(), 20, 18.0, 40.0)


@pytest.fixture(scope="module")
def particles(reference):
    return simulate_particles(reference, 3, 1.0)[0]


@pytest.fixture(scope="module", params=METHODS)
def prepared(request, reference):
    return component("method", request.param).prepare(reference, Symmetry("C1"))


def test_particles_that_do_not_fit_are_refused_in_one_sentence(prepared, reference, particles):
    other = DensityMap(reference.density, 9.0)
    smaller = density_of(ribosome_phantom(), 18, 18.0, 40.0)
    broken = dataclasses.replace(particles, spectra=particles.spectra.clone())
    broken.spectra[1, 0, 0, 0] = torch.nan
    cases = {
        "at least one to align": particles[0:0],
        r"box of \(20, 20, 20\) voxels of 18 angstrom, got \(20, 20, 20\) of 9": simulate_particles(other, 1, 1.0)[0],
        r"got \(18, 18, 18\) of 18": simulate_particles(smaller, 1, 1.0)[0],
        f"particle {particles.names[1]}: expected finite values": broken,
    }
    for said, given in cases.items():
        with pytest.raises(InputError, match=said):
            prepared(given)


def test_particles_on_another_device_are_told_where_to_go(prepared, particles):
    message = (
        "particles: expected them on the device of the prepared reference, cpu, got meta; "
        "move them with .to('cpu'), or prepare there: prepare(reference, symmetry, device='meta')"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        prepared(particles.to("meta"))


def test_double_precision_is_taken_as_single(prepared, particles):
    assert torch.equal(prepared(particles.to(torch.float64)).scores, prepared(particles).scores)


@pytest.mark.parametrize("name", METHODS)
def test_neither_autocast_nor_the_default_precision_has_a_say(name, reference, particles):
    expected = component("method", name).prepare(reference, Symmetry("C1"))(particles)
    try:
        torch.set_default_dtype(torch.float64)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = component("method", name).prepare(reference, Symmetry("C1"))(particles)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.scores.dtype == torch.float32
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.poses.rotations, expected.poses.rotations, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("reference: expected a cubic box", lambda r: (DensityMap(r.density[:, :, :18], 18.0), Symmetry())),
        ("implicit_poses", lambda r: (DensityMap(r.density.clone().requires_grad_(), 18.0), Symmetry())),
        ("device: expected cpu", lambda r: (r, Symmetry(), "gpu")),
        ("device: expected cpu", lambda r: (r, Symmetry(), "meta")),
    ],
)
def test_references_that_cannot_be_used_are_refused(said, change, reference):
    with pytest.raises(InputError, match=said):
        CurvatureSAGAligner().prepare(*change(reference))


def test_other_kinds_of_objects_are_refused(reference):
    with pytest.raises(InputError, match="reference: expected a DensityMap, got Tensor"):
        checked_reference(reference.density, Symmetry(), "cpu")
    with pytest.raises(InputError, match="symmetry: expected a Symmetry such as"):
        checked_reference(reference, "C1", "cpu")
    with pytest.raises(InputError, match=r"got Tensor; ParticleBatch\.from_arrays makes one"):
        checked_batch(reference.density, reference)
