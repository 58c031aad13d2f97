"""What every command over a list of particles is told alike: which particles, how to read them, how to go about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch

from torchsag.axes import Box
from torchsag.errors import InputError
from torchsag.io import AssemblyFolder, read_particles, staged
from torchsag.loggers import Logger, Started, logged
from torchsag.parallel import Serial, Workers
from torchsag.particles import ParticleSet, TiltStack, Weighting
from torchsag.runs.checkpoint import Checkpoint, describe
from torchsag.runs.chunk_size import ON_CPU, particles_at_once
from torchsag.runs.device import pick_device
from torchsag.runs.job import Job
from torchsag.runs.live_page import live
from torchsag.runs.outcome import Report
from torchsag.runs.provenance import Provenance


@dataclass(frozen=True, kw_only=True)
class ParticleInput:
    """Particles, and what has to be known to read them.

    Attributes
    ----------
    particles
        Particles: a .star or .csv list, a folder, a glob in quotes, or a stack.
    weighting
        What a particle's weight volume means; None takes what the kind of list implies.
    voxel_size_angstrom
        Angstrom per voxel in place of what the files say; None believes them.
    tilt_min_deg, tilt_max_deg
        Tilt range of particles whose list gives neither weight nor tilt range.
    volumes
        The folder in which the volumes of the list are, such as Dynamo's data folder; None finds out.
    """

    particles: str
    weighting: Weighting | None = None
    voxel_size_angstrom: float | None = None
    tilt_min_deg: float | None = None
    tilt_max_deg: float | None = None
    volumes: str | None = None

    def read(self, skip_bad: bool = False) -> ParticleSet:
        """The particles, their volumes unread; with `skip_bad` also those whose files are unusable.

        Raises
        ------
        InputError
            If the list is unusable.
        """
        return read_particles(
            self.particles,
            voxel_size_angstrom=self.voxel_size_angstrom,
            tilt_min_deg=self.tilt_min_deg,
            tilt_max_deg=self.tilt_max_deg,
            weighting=self.weighting,
            skip_bad=skip_bad,
            volumes=self.volumes,
        )


@dataclass(frozen=True, kw_only=True)
class ParticleRun(ParticleInput):
    """A run that processes can share, that leaves one folder, and that is carried on where it was killed.

    Attributes
    ----------
    out
        Where results go. Outside of it there are only the copies that staging= asks for, and the caches of numba and
        matplotlib.
    skip_bad
        Set particles with unusable data (NaN, all zero, corrupt) aside instead of stopping.
    resume
        Carry on from the last finished chunk of an unfinished run in the same folder; false starts over.
    chunk
        Particles aligned at a time; results do not depend on it. None takes 64 on a CPU, and on a GPU what its free
        memory holds, at most 1024.
    seed
        Everything random follows from this number.
    device
        ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` takes a GPU where there is one.
    parallel
        The processes that share the work.
    staging
        A folder on a disk of this host, where particle files are copied when first read; None reads them where they
        are.
    report
        Makes ``report.html``; None for none.
    logger
        Keeps the numbers of every chunk and iteration; None for none.
    strict
        Whether the command exits with 3 where its verdict is not that the result can be trusted.
    """

    out: str
    skip_bad: bool = False
    resume: bool = True
    chunk: int | None = None
    seed: int = 0
    device: str = "auto"
    parallel: Workers = field(default_factory=Serial)
    staging: str | None = None
    report: Report | None = None
    logger: Logger | None = None
    strict: bool = False

    # Settings that say how a run is carried out, not what it computes: they may change when it is resumed. The list
    # itself may be renamed or grow, each particle in it has a signature.
    how: ClassVar[frozenset[str]] = frozenset({
        "particles", "volumes", "out", "skip_bad", "resume", "chunk", "device", "parallel", "staging", "report",
        "logger", "strict",
    })  # fmt: skip

    def __post_init__(self):
        if self.chunk is not None and self.chunk < 1:
            raise InputError(f"chunk: expected at least 1 particle, got {self.chunk}")
        if self.seed < 0:
            raise InputError(f"seed: expected a whole number of at least 0, got {self.seed}")

    def at_once(self, box: Box) -> int:
        """Particles aligned at a time, the same on every process; all of them ask."""
        if self.chunk is not None:
            return self.chunk
        device = pick_device(self.device)
        if device.type == "cpu":
            return ON_CPU
        sharing = -(-self.parallel.size // torch.cuda.device_count())
        return self.parallel.broadcast(particles_at_once(device, box, sharing))

    def read(self, skip_bad: bool = False) -> ParticleSet:
        """The particles, their volumes unread, to come by way of `staging`; tilt stacks are assembled once a run."""
        particles = staged(super().read(skip_bad or self.skip_bad), self.staging)
        if not any(isinstance(source, TiltStack) for source in particles.volumes):
            return particles
        return replace(particles, assembled=AssemblyFolder(Checkpoint.place(Path(self.out)) / "assembled"))

    @contextmanager
    def logged(self, provenance: Provenance) -> Iterator[None]:
        """On the root, keep what is noted meanwhile, and show how far the command is."""
        if not self.parallel.is_root:
            yield
            return
        run = Started(provenance.command, Path(self.out), provenance.configuration)
        with live(Job(run.command, provenance.began), self.report, run.out) as job, logged(self.logger, run, job.hear):
            yield

    def open_checkpoint(self, **signatures: str) -> Checkpoint | None:
        """What an earlier run with these settings has finished, on the root; None elsewhere.

        Parameters
        ----------
        signatures
            Of files that settings name, in place of those names.

        Raises
        ------
        InputError
            If `out` holds an unfinished run with other settings.
        """
        if not self.parallel.is_root:
            return None
        settings = {key: value for key, value in describe(self).items() if key.split(".")[0] not in self.how}
        return Checkpoint.begin(Path(self.out), {**settings, **signatures}, self.resume)
