"""Particles of any size, for alignment, on a scale near one."""

import dataclasses

import pytest
import torch

from torchsag.geometry import Poses
from torchsag.imaging.reference import as_model, isolated
from torchsag.particles import of_unit_size


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12, 1e20])
def test_the_size_is_near_one_and_no_digit_changes(blobs, scale):
    batch = blobs(4.0).particles(Poses.identity(2), 12, noise=1.0)
    batch = dataclasses.replace(batch, spectra=batch.spectra * torch.tensor([scale, 3 * scale])[:, None, None, None])
    found = of_unit_size(batch)
    largest = found.spectra[..., 1:].abs().amax((1, 2, 3)) / 12**1.5
    assert bool(((largest > 0.5) & (largest < 2)).all())
    for before, after in zip(batch.spectra, found.spectra, strict=True):
        factor = after.abs().max() / before.abs().max()
        assert float(factor.log2()) == round(float(factor.log2()))
        torch.testing.assert_close(after, before * factor, rtol=0, atol=0)


def test_an_empty_particle_stays_empty(blobs):
    batch = blobs(4.0).particles(Poses.identity(1), 12)
    nothing = dataclasses.replace(batch, spectra=0 * batch.spectra)
    assert of_unit_size(nothing).spectra.abs().sum() == 0


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_a_model_has_a_size_near_one(blobs, scale):
    density = blobs(4.0).map(12)
    model = as_model(scale * density)
    assert 0.7 < float(model.square().mean().sqrt()) < 1.5
    one = isolated(density)
    torch.testing.assert_close(model / model.norm(), one / one.norm())
    assert as_model(torch.zeros(8, 8, 8)).abs().sum() == 0
