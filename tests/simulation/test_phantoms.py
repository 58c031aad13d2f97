"""The built-in structures have the symmetry and the size they claim."""

import pytest
import torch

from torchsag.fourier import shell_sums, to_half_spectrum
from torchsag.geometry import Symmetry
from torchsag.simulation import capped_phantom, density_of, groel_phantom, ribosome_phantom
from torchsag.simulation.scattering import FourierKernel
from torchsag.simulation.structures import AtomicModel, GroelPhantom


def farthest_partner(first, second):
    return float(torch.cdist(first, second).min(1).values.max())


@pytest.mark.parametrize(("build", "name"), [(groel_phantom, "D7"), (capped_phantom, "C7")])
def test_symmetry_is_exact(build, name):
    model = build()
    for rotation in Symmetry(name).rotations:
        assert farthest_partner(model.turned(rotation).positions, model.positions) < 1e-5


def test_the_cap_breaks_the_two_fold():
    model = capped_phantom()
    flip = Symmetry("D7").rotations[7]
    assert farthest_partner(model.turned(flip).positions, model.positions) > 5


def test_groel_has_real_dimensions():
    """14 nm wide, 15 nm high, 4.5 nm channel, counting the blobs' half width at half maximum (4 A)."""
    positions, surface = groel_phantom().positions, 4.0
    radius = positions[:, :2].norm(dim=-1)
    assert float(2 * (radius.max() + surface)) == pytest.approx(140, abs=6)
    assert float(2 * (positions[:, 2].max() + surface)) == pytest.approx(150, abs=6)
    assert float(2 * (radius.min() - surface)) == pytest.approx(45, abs=5)


def test_ribosome_has_the_size_of_one_and_no_symmetry():
    model = ribosome_phantom()
    extent = model.positions.max(0).values - model.positions.min(0).values
    assert 230 < float(extent.max()) < 270
    for name in ("C2", "D2", "C3"):
        for rotation in Symmetry(name).rotations[1:]:
            assert farthest_partner(model.turned(rotation).positions, model.positions) > 10


@pytest.mark.parametrize("build", [groel_phantom, capped_phantom, ribosome_phantom])
def test_centre_of_mass_is_the_origin(build):
    model = build()
    centre = (model.positions * model.amplitudes[:, None]).sum(0) / model.amplitudes.sum()
    assert float(centre.abs().max()) < 1e-6


@pytest.mark.parametrize("box", [32, 33])
def test_density_is_symmetric_about_the_box_centre(box):
    density = density_of(groel_phantom(), box, 8.0).density
    # The two-fold about x reverses y and z; in an even box the first plane has no mirror image.
    inner = density[1:, 1:, :] if box % 2 == 0 else density
    assert float((inner.flip((0, 1)) - inner).abs().max() / density.abs().max()) < 1e-4


def log_power(density, voxel_size, resolutions):
    box = tuple(density.shape)
    power = to_half_spectrum(density).abs().square()
    shells = (shell_sums(power, box) / shell_sums(torch.ones_like(power), box)).log10()
    return [float(shells[round(box[0] * voxel_size / r)] - shells[0]) for r in resolutions]


def test_the_spectrum_falls_like_that_of_groel(shared_data):
    """Detail between 60 and 16 A within a factor of four in power of that of the real 14-mer."""
    kernel = FourierKernel(6.0)
    real = AtomicModel(str(shared_data / "groel" / "1oel_14mer.pdb.gz"), kernel=kernel).density(48, 5.0)
    phantom = GroelPhantom(kernel).density(48, 5.0)
    resolutions = [60, 40, 30, 25, 20, 16]
    pairs = zip(log_power(real.density, 5.0, resolutions), log_power(phantom.density, 5.0, resolutions), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 0.6
