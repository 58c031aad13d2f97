"""Rounding must not matter, anything else must."""

from dataclasses import replace

import pytest
import torch

import torchsag.bench.fingerprint as module
from torchsag.bench.fingerprint import Fingerprint, published, require_published
from torchsag.bench.making import make
from torchsag.bench.task import task_named
from torchsag.errors import InputError
from torchsag.particles import DensityMap


@pytest.mark.parametrize("name", ["align_normal", "classify_hard"])
def test_what_is_made_here_is_what_was_published(name):
    problem = make(task_named(name))
    assert Fingerprint.of(problem).differences(published(problem.task)) == []


def changed(problem, spectra):
    return Fingerprint.of(replace(problem, particles=replace(problem.particles, spectra=spectra)))


def test_rounding_does_not_matter(aligned):
    spectra = aligned.particles.spectra
    noise = torch.randn(spectra.shape, generator=torch.Generator().manual_seed(0))
    assert changed(aligned, spectra * (1 + 1e-6 * noise)).differences(Fingerprint.of(aligned)) == []


def test_other_data_are_seen(aligned):
    expected, spectra = Fingerprint.of(aligned), aligned.particles.spectra
    swapped = spectra.clone()
    swapped[[3, 4]] = spectra[[4, 3]]
    assert changed(aligned, swapped).differences(expected) == ["particles"]
    assert changed(aligned, spectra * 1.001).differences(expected) == ["particles"]
    turned = spectra.clone()
    turned[7] = spectra[7].conj()
    assert changed(aligned, turned).differences(expected) == ["particles"]
    assert aligned.reference is not None
    smooth = DensityMap(aligned.reference.density.roll(1, 0), aligned.reference.voxel_size)
    assert Fingerprint.of(replace(aligned, reference=smooth)).differences(expected) == ["reference"]
    assert Fingerprint.of(replace(aligned, reference=None)).differences(expected) == ["reference"]


def test_another_machine_s_data_are_refused(aligned, monkeypatch):
    other = replace(Fingerprint.of(aligned), truth="0" * 64, particles=(1.0, 0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(module, "published", lambda task: other)
    with pytest.raises(InputError, match=r"align_easy: .*truth and particles made here differ"):
        require_published(aligned)


def test_noise_does_not_tell_the_classes_apart(classified):
    """The structures differ in power; the noise must not follow it."""
    power = classified.particles.spectra.abs().square()[:, 10:, :, 8:].mean((1, 2, 3))
    of = [power[classified.truth.classes == number].mean() for number in (1, 2)]
    assert float(of[0] / of[1]) == pytest.approx(1, abs=0.03)
