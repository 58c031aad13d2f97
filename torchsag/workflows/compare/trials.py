"""Particles that several methods are tried on: simulated in memory, or listed in files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.errors import InputError
from torchsag.fourier import low_pass
from torchsag.geometry import Poses, Symmetry
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.runs.hand import in_hand_of
from torchsag.runs.matching_map import matching_map
from torchsag.runs.particle_run import ParticleInput
from torchsag.runs.usable_particles import load_usable, say_set_aside
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import Structure

_LEAST = 2  # particles of which differences between methods can be spoken


@dataclass(frozen=True)
class Trial:
    """Particles of one kind, and what they are aligned to.

    Attributes
    ----------
    name
        What tells this trial from the others.
    particles
        Without prior poses.
    reference
        What the methods are given.
    truth
        True poses, where known.
    structure
        What the particles are images of, where known: the Cramer-Rao bound is its.
    snr
        Signal to noise, where known.
    faults
        For every particle that was read what is wrong with it, empty where nothing is; those with a fault are not
        among `particles`. None where particles are made.
    """

    name: str
    particles: ParticleBatch
    reference: DensityMap
    truth: Poses | None = None
    structure: DensityMap | None = None
    snr: float | None = None
    faults: tuple[str, ...] | None = None


def fingerprint(trial: Trial) -> str:
    """A mark of everything in a trial that results depend on."""
    particles, digest = trial.particles, hashlib.sha256(trial.name.encode())
    tensors = [particles.spectra, particles.weights, particles.weight_index, trial.reference.density]
    tensors += [] if trial.truth is None else [trial.truth.rotations, trial.truth.shifts]
    tensors += [] if trial.structure is None else [trial.structure.density]
    for tensor in tensors:
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    digest.update(repr((particles.names, particles.voxel_size, trial.reference.voxel_size, trial.snr)).encode())
    return digest.hexdigest()


@runtime_checkable
class Trials(Protocol):
    """Makes trials: a frozen dataclass and one yaml under ``conf/trials``."""

    def make(self, seed: int, device: torch.device) -> Iterator[Trial]:
        """One trial after another."""
        ...


@dataclass(frozen=True)
class SimulatedTrials:
    """One trial per SNR; poses are the same in all.

    Attributes
    ----------
    structure
        What is simulated.
    snr
        Signal variance over the whole box by noise variance per voxel, before the wedge: one or several.
    n
        Particles in each trial.
    tilt_deg
        Tilts run from minus to plus this angle.
    box, voxel_size_angstrom
        Voxels per axis, angstrom per voxel.
    max_shift_voxels
        Shifts are drawn from a ball of this radius.
    reference_angstrom
        The methods' reference is low-passed to this resolution; None leaves it exact.
    """

    structure: Structure
    snr: Sequence[float] | float | int = (0.1, 0.01)
    n: int = 20
    tilt_deg: float = 60.0
    box: int = 64
    voxel_size_angstrom: float = 6.0
    max_shift_voxels: float = 3.0
    reference_angstrom: float | None = None

    def __post_init__(self):
        if not isinstance(self.snr, (int, float)):
            object.__setattr__(self, "snr", tuple(self.snr))
        if not self.levels or not all(level > 0 for level in self.levels):
            raise InputError(f"snr: expected one number above 0 or more, got {self.snr}")
        if self.n < 2:
            raise InputError(f"n: expected at least 2 particles, got {self.n}")
        if self.reference_angstrom is not None and not self.reference_angstrom > 0:
            raise InputError(f"reference_angstrom: expected a value above 0, got {self.reference_angstrom}")

    @property
    def levels(self) -> tuple[float, ...]:
        """Each SNR."""
        return (float(self.snr),) if isinstance(self.snr, (int, float)) else tuple(self.snr)

    def make(self, seed: int, device: torch.device) -> Iterator[Trial]:
        """Simulate."""
        exact = self.structure.density(self.box, self.voxel_size_angstrom).to(device)
        reference = exact
        if self.reference_angstrom is not None:
            coarse = low_pass(exact.density, self.reference_angstrom, exact.voxel_size)
            reference = DensityMap(coarse, exact.voxel_size)
        for level in self.levels:
            particles, truth = simulate_particles(
                exact, self.n, level, -self.tilt_deg, self.tilt_deg, self.max_shift_voxels, seed
            )
            yield Trial(f"SNR {level:g}", particles, reference, truth, exact, level)


@dataclass(frozen=True, kw_only=True)
class ListedTrial(ParticleInput):
    """One trial: particles and a reference from files; prior poses are not used.

    Attributes
    ----------
    reference
        The map to align to, in the particles' box.
    truth_listed
        Whether the poses in the list are true and errors are to be reported.
    skip_bad
        Set particles with unusable data (NaN, all zero, corrupt) aside instead of stopping.
    mirror
        Whether to align to the mirror image of the reference; None finds out for tilt stacks, by the default method,
        and takes the reference as it is for volumes.
    """

    reference: str
    mirror: bool | None = None
    truth_listed: bool = False
    skip_bad: bool = False

    def make(self, seed: int, device: torch.device) -> Iterator[Trial]:
        """Read."""
        listed = self.read(self.skip_bad)
        given = matching_map(self.reference, listed, self.voxel_size_angstrom)
        reference, _ = in_hand_of(listed, given, self.mirror, CurvatureSAGAligner(), Symmetry("C1"), device)
        if self.truth_listed and listed.poses is None:
            raise InputError(f"{self.particles}: expected true poses, got a list without poses")
        particles, rows, faults = load_usable(listed, range(len(listed)), device, self.skip_bad)
        say_set_aside(faults)
        if particles is None or len(rows) < _LEAST:
            raise InputError(
                f"{self.particles}: expected at least {_LEAST} particles that can be used, got {len(rows)} of "
                f"{len(listed)}; the first of the others: {faults.get(min(faults, default=0), 'there are none')}"
            )
        truth = listed.poses[rows] if self.truth_listed and listed.poses is not None else None
        told = tuple(faults.get(row, "") for row in range(len(listed)))
        yield Trial("listed", particles, reference.to(device), truth, faults=told)
