"""Which particles of a set a method is calibrated with."""

from dataclasses import dataclass

import torch

from torchsag.particles import ParticleBatch, ParticleError, ParticleSet
from torchsag.runs.calibration import calibrated_with

CPU = torch.device("cpu")


class _Set(ParticleSet):
    """Nothing but names, some of them of particles that cannot be read."""

    def __init__(self, count, bad=()):
        object.__setattr__(self, "names", tuple(map(str, range(count))))
        object.__setattr__(self, "rows", tuple(bad))

    def load(self, indices, device="cpu"):
        faults = {row: "cannot be read" for row in indices if row in self.rows}
        if faults:
            raise ParticleError(faults)
        names = tuple(self.names[row] for row in indices)
        index = torch.zeros(len(names), dtype=torch.long)
        spectra = torch.zeros(len(names), 4, 4, 3, dtype=torch.complex64)
        return ParticleBatch(spectra, torch.ones(1, 4, 4, 3), index, names, 1.0, (4, 4, 4))


@dataclass
class _Plain:
    def __call__(self, particles):
        raise AssertionError("nothing is aligned here")


@dataclass
class _Learning(_Plain):
    calibration_particles: int = 3
    seen: tuple[str, ...] = ()

    def calibrated(self, particles):
        return _Learning(seen=particles.names)

    def calibrated_like(self, other):
        raise AssertionError("nothing is taken over here")


def _seen(method, particles):
    found = calibrated_with(method, particles, CPU)
    assert isinstance(found, _Learning)
    return found.seen


def test_particles_come_from_all_over_the_set():
    assert _seen(_Learning(), _Set(9)) == ("0", "3", "6")


def test_a_few_particles_would_show_their_own_noise():
    method = _Learning()
    assert calibrated_with(method, _Set(7), CPU) is method


def test_unusable_particles_are_left_out():
    assert _seen(_Learning(), _Set(9, bad=(3, 4))) == ("0", "6")
    method = _Learning()
    assert calibrated_with(method, _Set(9, bad=(0, 3, 6)), CPU) is method


def test_a_method_that_learns_nothing_is_left_as_it_is():
    method = _Plain()
    assert calibrated_with(method, _Set(9), CPU) is method
    trusting = _Learning(calibration_particles=0)
    assert calibrated_with(trusting, _Set(9), CPU) is trusting
