"""Projection and back-projection against rotation and summation in real space."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.geometry import Poses, random_rotations, rotvec_to_matrix
from torchsag.imaging.masks import spherical_mask
from torchsag.imaging.projection import TiltGeometry, project, to_images
from torchsag.imaging.wedge import missing_wedge
from torchsag.spectra.gridding import ContinuousSpectrum


def smooth_volume(box, seed=0, dtype=torch.float32):
    """Random blobs near the centre, smooth enough for splines."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(box, box, box, generator=generator)
    smooth = torch.from_numpy(ndimage.gaussian_filter(noise.numpy(), 2.0))
    return (smooth * spherical_mask((box, box, box), radius=box / 4, edge=box / 6)).to(dtype)


def projection_by_scipy(volume, tilt_deg):
    """Resample the volume along the beam with quintic splines and sum."""
    box = volume.shape[0]
    axis = np.arange(box) - box // 2
    s, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    cos, sin = math.cos(math.radians(tilt_deg)), math.sin(math.radians(tilt_deg))
    points = np.stack([-x * sin + s * cos, y, x * cos + s * sin]) + box // 2
    return ndimage.map_coordinates(volume.double().numpy(), points, order=5).sum(0)


@pytest.mark.parametrize("box", [24, 25])
@pytest.mark.parametrize("tilt_deg", [0.0, 33.0, -60.0, 90.0])
def test_projection_is_rotation_and_sum(box, tilt_deg):
    volume = smooth_volume(box)
    tilts = torch.tensor([math.radians(tilt_deg)])
    found = project(volume, Poses.identity(1), tilts)[0, 0]
    expected = torch.from_numpy(projection_by_scipy(volume, tilt_deg)).float()
    assert float((found - expected).norm() / expected.norm()) < 5e-3


def test_a_pose_moves_the_projection():
    """A turn about the beam axis in steps of 90 degrees permutes the pixels; a shift in x moves the columns."""
    volume = smooth_volume(24)
    quarter = rotvec_to_matrix(torch.tensor([[0.0, 0.0, math.pi / 2]]))
    moved = project(volume, Poses(quarter, torch.tensor([[2.0, 0.0, 1.0]])), torch.zeros(1))[0, 0]
    still = project(volume, Poses.identity(1), torch.zeros(1))[0, 0]
    turned = torch.zeros_like(still)
    turned[1:, 1:] = still[1:, 1:].T.flip(-1)  # x' = -y, y' = x about pixel n // 2
    torch.testing.assert_close(moved, turned.roll(2, -1), atol=2e-3 * float(still.abs().max()), rtol=0)


@pytest.mark.parametrize("box", [20, 21])
def test_back_projection_is_the_adjoint(box):
    """<A v, w> = <v, A* w> with the inner product of full spectra."""
    generator = torch.Generator().manual_seed(1)
    geometry = TiltGeometry(torch.deg2rad(torch.tensor([-50.0, 0.0, 35.0])).double(), box)
    volume = smooth_volume(box, dtype=torch.float64)
    images = torch.randn(3, box, box // 2 + 1, generator=generator, dtype=torch.complex128) * geometry.measured
    spectra = geometry.project(ContinuousSpectrum.of(volume), Poses.identity(1, torch.float64))[0]
    multiplicity = torch.full_like(geometry.measured, 2, dtype=torch.float64)
    multiplicity[:, 0] = 1
    forward = ((spectra * images.conj()).real * multiplicity).sum() / box**3
    backward = (volume * geometry.back_project(images)).sum()
    assert float(forward) == pytest.approx(float(backward), rel=1e-3)


def test_a_full_series_gives_the_density_back():
    """Noise-free images of +-90 degrees, weighted by the area each sample stands for."""
    box = 32
    volume = smooth_volume(box)
    tilts = torch.deg2rad(torch.arange(-90.0, 90.0))
    geometry = TiltGeometry(tilts, box)
    images = geometry.project(ContinuousSpectrum.of(volume), Poses.identity(1))
    area = geometry.image_frequencies[..., 0].abs() * box * math.pi / len(tilts)
    area[:, 0] = math.pi / 4 / len(tilts)
    found = geometry.back_project(images * area)[0]
    assert float((found - volume).norm() / volume.norm()) < 0.05
    shells = fourier_shell_correlation(to_half_spectrum(found), to_half_spectrum(volume), (box, box, box))
    assert float(shells[: box // 4 + 1].min()) > 0.95


def test_what_the_tilts_measure_lies_inside_their_wedge():
    box = 32
    geometry = TiltGeometry(torch.deg2rad(torch.arange(-40.0, 56.0)), box)
    images = geometry.project(ContinuousSpectrum.of(smooth_volume(box)), Poses.identity(1))
    area = geometry.image_frequencies[..., 0].abs() * box * math.radians(1)
    power = to_half_spectrum(geometry.back_project(images * area)[0]).abs().square()
    mirrored = missing_wedge((box, box, box), -55.0, 40.0)
    wedge = missing_wedge((box, box, box), -40.0, 55.0)
    far = (1 - torch.nn.functional.max_pool3d(wedge[None], 5, 1, 2)[0]).bool()
    assert float(power[far].sum() / power.sum()) < 2e-3
    assert float((power * wedge).sum()) > 1.02 * float((power * mirrored).sum())


def test_gradients_reach_volume_and_pose():
    volume = smooth_volume(6, dtype=torch.float64)[:4, :4, :4].clone().requires_grad_()
    rotations = random_rotations(1, torch.Generator().manual_seed(0), torch.float64).requires_grad_()
    shifts = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64, requires_grad=True)
    tilts = torch.tensor([0.2, -0.7], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda v, r, t: project(v, Poses(r, t), tilts), (volume, rotations, shifts), atol=1e-4
    )


def test_images_from_half_spectra_are_centred():
    spectra = torch.ones(2, 9, 5, dtype=torch.complex64)
    images = to_images(spectra, 9)
    assert images.shape == (2, 9, 9)
    assert images[0].argmax() == 4 * 9 + 4


def test_measured_disc_reaches_nyquist():
    geometry = TiltGeometry(torch.zeros(1), 16)
    radius = geometry.image_frequencies.norm(dim=-1)
    assert bool(geometry.measured[radius < 0.5].all())
    assert not bool(geometry.measured[radius >= 0.5].any())
