"""What every alignment method offers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from torchsag.alignment.learnt import Learnt
from torchsag.geometry import Poses, Symmetry
from torchsag.likelihood.modes import PoseModes
from torchsag.likelihood.noise_shape import NoiseShape
from torchsag.likelihood.observations import Observations
from torchsag.particles import DensityMap, ParticleBatch

_PER_PARTICLE = ("scores", "covariances", "ambiguity", "converged", "passes")
OF_MODES = ("mode_rotations", "mode_shifts", "mode_gain", "mode_amplitude", "mode_log_share")
_FEWEST = 8  # particles to calibrate with


@dataclass(frozen=True)
class AlignmentResult:
    """One row per particle.

    Attributes
    ----------
    poses
        The best pose found.
    scores
        Constrained correlation of particle and placed reference, -1 to 1, over what the particle measured.
    covariances
        Covariance of the pose's tangent move (radians, voxels); NaN where the method gives none.
    ambiguity
        Posterior probability that the pose lies in another, separated candidate; NaN where the method gives none.
    converged
        Whether the pose has arrived: the method's own stopping rule was met, or what was left to go is far below the
        pose's uncertainty.
    passes
        Evaluations of all of the particle's data that refinement spent, its candidates together.
    modes
        The poses that the particle may have; None where nobody asked (`with_modes`).
    """

    poses: Poses
    scores: Float[Tensor, " particles"]
    covariances: Float[Tensor, "particles 6 6"]
    ambiguity: Float[Tensor, " particles"]
    converged: Bool[Tensor, " particles"]
    passes: Float[Tensor, " particles"]
    modes: PoseModes | None = None

    def __len__(self) -> int:
        return len(self.poses)

    def __getitem__(self, index) -> AlignmentResult:
        modes = None if self.modes is None else self.modes[index]
        picked = {name: getattr(self, name)[index] for name in _PER_PARTICLE}
        return AlignmentResult(self.poses[index], **picked, modes=modes)

    @staticmethod
    def concatenate(parts: list[AlignmentResult]) -> AlignmentResult:
        """Results one after another."""
        modes = [part.modes for part in parts]
        return AlignmentResult(
            Poses.concatenate([part.poses for part in parts]),
            **{name: torch.cat([getattr(part, name) for part in parts]) for name in _PER_PARTICLE},
            modes=None if None in modes else PoseModes.concatenate([some for some in modes if some is not None]),
        )

    def columns(self) -> dict[str, np.ndarray]:
        """The result as arrays by name, one row a particle: what checkpoints and tables hold."""
        columns = {name: getattr(self, name) for name in _PER_PARTICLE}
        columns |= {"rotations": self.poses.rotations, "shifts": self.poses.shifts}
        if self.modes is not None:
            of_modes, poses = self.modes, self.modes.poses
            known = poses.rotations, poses.shifts, of_modes.gain, of_modes.amplitude, of_modes.log_share
            columns |= dict(zip(OF_MODES, known, strict=True))
        return {name: column.detach().cpu().numpy() for name, column in columns.items()}

    @staticmethod
    def from_columns(columns: Mapping[str, np.ndarray]) -> AlignmentResult:
        """The inverse of `columns`; other columns are passed over."""
        picked = {name: torch.from_numpy(columns[name]) for name in ("rotations", "shifts", *_PER_PARTICLE)}
        modes = None
        if all(name in columns for name in OF_MODES):
            rotations, shifts, *others = (torch.from_numpy(columns[name]) for name in OF_MODES)
            modes = PoseModes(Poses(rotations, shifts), *others)
        return AlignmentResult(Poses(picked.pop("rotations"), picked.pop("shifts")), **picked, modes=modes)

    def to(self, device: torch.device | str) -> AlignmentResult:
        """The same result on another device."""
        modes = None if self.modes is None else self.modes.to(device)
        there = {name: getattr(self, name).to(device) for name in _PER_PARTICLE}
        return AlignmentResult(self.poses.to(device), **there, modes=modes)

    def moved(self, shifts: Float[Tensor, "particles 3"]) -> AlignmentResult:
        """The result for particles whose boxes were centred there (voxels), told from their own box centres."""
        shifts = shifts.to(self.poses.shifts)
        poses, modes = Poses(self.poses.rotations, self.poses.shifts + shifts), self.modes
        if modes is not None:
            modes = replace(modes, poses=Poses(modes.poses.rotations, modes.poses.shifts + shifts[:, None]))
        return replace(self, poses=poses, modes=modes)


@runtime_checkable
class PreparedAligner(Protocol):
    """An aligner that has done what depends on the reference alone."""

    def __call__(self, particles: ParticleBatch) -> AlignmentResult:
        """Align a batch. Prior poses, where the method uses them, are ``particles.poses``."""
        ...


@runtime_checkable
class Aligner(Protocol):
    """A method with its hyper-parameters: a frozen dataclass and one yaml under ``conf/method``."""

    def prepare(self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu") -> PreparedAligner:
        """Do once what depends on the reference alone (filters, harmonics, interpolation tables)."""
        ...


@runtime_checkable
class CalibratingAligner(PreparedAligner, Protocol):
    """A prepared aligner that learns from some of the particles how its reference compares with them."""

    @property
    def calibration_particles(self) -> int:
        """How many particles it wants to see; 0 for none."""
        ...

    def calibrated(self, particles: ParticleBatch) -> PreparedAligner:
        """The aligner for particles like these."""
        ...

    def calibrated_like(self, other: PreparedAligner) -> PreparedAligner:
        """The aligner with what another of the same method has learnt of a reference like its own.

        Such as the average of as many other particles. What stands out of a map is still looked for in its own.
        """
        ...


@runtime_checkable
class LearningAligner(PreparedAligner, Protocol):
    """A prepared aligner that can say what it has learnt of reference and noise."""

    @property
    def learnt(self) -> Learnt:
        """What it goes by."""
        ...


@runtime_checkable
class NoiseLearningAligner(PreparedAligner, Protocol):
    """A prepared aligner that can be told how the noise of particles differs from what it would take it for."""

    def measured_noise(self, particles: ParticleBatch, poses: Poses) -> NoiseShape:
        """What particles at poses, found before, leave over beside the reference."""
        ...

    def with_noise(self, shape: NoiseShape) -> PreparedAligner:
        """The aligner for particles with such noise."""
        ...


@runtime_checkable
class PosingAligner(PreparedAligner, Protocol):
    """A prepared aligner whose uncertainties cost more than its poses need: for loops that look at poses alone."""

    def posing(self) -> PreparedAligner:
        """The aligner that finds the same poses, with no better uncertainties than come for nothing."""
        ...


@runtime_checkable
class ModalAligner(PreparedAligner, Protocol):
    """A prepared aligner that can tell at which other poses a particle may be."""

    def with_modes(self, most: int) -> PreparedAligner:
        """The aligner whose results hold so many poses of each particle."""
        ...


@runtime_checkable
class JointAligner(Protocol):
    """Aligns each particle to one of several references, those of all in one batch."""

    def __call__(self, particles: ParticleBatch, references: Integer[Tensor, " particles"], /) -> AlignmentResult:
        """Align a batch, each particle to the reference of its number."""
        ...


@runtime_checkable
class JoinableAligner(PreparedAligner, Protocol):
    """A prepared aligner that, joined with others of its method, is faster than one after the other."""

    @property
    def kind(self) -> Hashable:
        """What aligners have in common that can be joined, beside method, symmetry and device."""
        ...

    def joined(self, others: Sequence[PreparedAligner]) -> JointAligner:
        """One aligner of this reference, of number 0, and of those of others of its kind, of numbers 1, 2, .."""
        ...


@runtime_checkable
class BandLimitedAligner(PreparedAligner, Protocol):
    """A prepared aligner that looks at the particles' low frequencies alone."""

    @property
    def outermost_shell(self) -> int | None:
        """No Fourier shell beyond it is looked at; None if all are."""
        ...


def calibration_rows(aligner: PreparedAligner, count: int) -> range:
    """Which of `count` particles an aligner is to be calibrated with: evenly spread; none for one that needs none, and
    none of a list so short that it would show its own noise.

    They follow from the list alone, so that every process and every chunk comes to the same poses.
    """
    if count < _FEWEST or not isinstance(aligner, CalibratingAligner):
        return range(0)
    wanted = min(aligner.calibration_particles, count)
    step = count // max(wanted, 1)
    return range(0, wanted * step, max(step, 1))


def calibrated(aligner: PreparedAligner, particles: ParticleBatch) -> PreparedAligner:
    """The aligner calibrated with some particles; as it is where it needs none."""
    return aligner.calibrated(particles) if isinstance(aligner, CalibratingAligner) else aligner


def posing(aligner: PreparedAligner) -> PreparedAligner:
    """The aligner without whatever its poses do not need; as it is where it needs all."""
    return aligner.posing() if isinstance(aligner, PosingAligner) else aligner


def with_modes(aligner: PreparedAligner, most: int) -> PreparedAligner:
    """The aligner that tells up to `most` poses of each particle; as it is where it knows of one alone."""
    return aligner.with_modes(most) if most > 1 and isinstance(aligner, ModalAligner) else aligner


def outermost_shell(aligner: PreparedAligner) -> int | None:
    """Beyond which Fourier shell the aligner looks at nothing; None where it looks at all."""
    return aligner.outermost_shell if isinstance(aligner, BandLimitedAligner) else None


def pose_only(
    observed: Observations,
    poses: Poses,
    matched: Float[Tensor, " particles"],
    converged: Bool[Tensor, " particles"],
    passes: Float[Tensor, " particles"],
) -> AlignmentResult:
    """The result of a method without uncertainty: one pose per particle, with its matched filter.

    That is ``cross / sqrt(energy)`` over the band that was observed.
    """
    power = observed.power.sum(-1).clamp_min(torch.finfo(matched.dtype).tiny)
    return AlignmentResult(
        poses=poses,
        scores=matched * power.rsqrt(),
        covariances=matched.new_full((len(poses), 6, 6), torch.nan),
        ambiguity=torch.full_like(matched, torch.nan),
        converged=converged,
        passes=passes,
    )
