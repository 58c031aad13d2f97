import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.evaluation.half_map_fsc import compare_half_maps
from torchsag.geometry import Symmetry
from torchsag.particles import DensityMap
from torchsag.simulation.structures import GroelPhantom, RibosomePhantom
from torchsag.workflows.average.controls import Control, ControlledRun, NoiseOnly, OmittedRegion

N, VOXEL = 32, 12.0
C1 = Symmetry("C1")


@pytest.fixture(scope="module")
def ribosome():
    return RibosomePhantom().density(N, VOXEL)


def _run(average, reference, symmetry=C1, noise=0.0):
    generator = torch.Generator().manual_seed(0)
    halves = [DensityMap(average.density + noise * torch.randn(N, N, N, generator=generator), VOXEL) for _ in range(2)]
    return ControlledRun(compare_half_maps(*halves), average, reference, symmetry, 60.0)


def test_what_came_back_is_measured(ribosome):
    control = OmittedRegion(radius_angstrom=40.0)
    assert isinstance(control, Control)
    cut = control.reference(ribosome, C1)
    assert float(cut.density.sum()) < 0.97 * float(ribosome.density.sum())
    for part in (0.0, 0.4, 1.0):
        density = 3.0 * (part * ribosome.density + (1 - part) * cut.density) + 5.0
        found = control.finding(_run(DensityMap(density, VOXEL), ribosome))
        assert found.evidence["returned_density"] == pytest.approx(part, abs=0.08)
        assert found.evidence["passed"] == (part > 0.5)
        assert "FAILED" in found.text or found.severity == "note"


def test_symmetry_mates_of_the_region_are_cut_too():
    groel, symmetry = GroelPhantom().density(N, VOXEL), Symmetry("D7")
    control = OmittedRegion(radius_angstrom=20.0, centre_angstrom=(50.0, 0.0, 40.0))
    one, all_of_them = (float(control.region(groel, s).sum()) for s in (C1, symmetry))
    assert all_of_them > 10 * one
    # What imposing the symmetry could bring back without any particle is not there.
    cut = control.reference(groel, symmetry)
    region = control.region(groel, symmetry) > 0.99
    assert float(cut.density[region].abs().max()) < 0.02 * float(groel.density.max())


def test_half_maps_of_noise_must_not_agree(ribosome):
    blank = DensityMap(torch.zeros(N, N, N), VOXEL)
    found = NoiseOnly().finding(_run(blank, None, noise=1.0))
    assert found.severity == "note"
    assert math.isinf(found.evidence["noise_resolution_0.143_angstrom"])
    suspicious = NoiseOnly().finding(_run(ribosome, None, noise=1e-3 * float(ribosome.density.std())))
    assert suspicious.severity == "wrong"
    assert "FAILED" in suspicious.text


def test_bad_settings_are_refused(ribosome):
    with pytest.raises(InputError, match="radius_angstrom"):
        OmittedRegion(radius_angstrom=0.0)
    with pytest.raises(InputError, match="x, y and z"):
        OmittedRegion(centre_angstrom=(1.0, 2.0))
    with pytest.raises(InputError, match="expected reference="):
        OmittedRegion().reference(None, C1)
