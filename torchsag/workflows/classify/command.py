"""Divide particles into classes: the work behind ``torchsag classify``."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.alignment.aligner import Aligner
from torchsag.averaging.halves import Halves, ListedOrRandomHalves
from torchsag.averaging.starts import RandomOrientations, Start
from torchsag.classification.wedge_pca import WedgePCA
from torchsag.errors import InputError, printable
from torchsag.geometry import Poses
from torchsag.particles import ParticleError, ParticleSet
from torchsag.runs import job
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.chunk_size import ON_CPU
from torchsag.runs.device import pick_device
from torchsag.runs.half_mapper import HalfMapper
from torchsag.runs.hand import refuse_without_reference
from torchsag.runs.metrics import surroundings, write_set_aside
from torchsag.runs.outcome import Outcome
from torchsag.runs.output_folder import claim
from torchsag.runs.particle_run import ParticleRun
from torchsag.runs.provenance import Provenance
from torchsag.runs.signatures import file_signature, particle_signatures
from torchsag.runs.transforms import check_size, kept_while_running
from torchsag.runs.truth import true_classes
from torchsag.runs.usable_particles import load_usable
from torchsag.verdict import Finding, Verdict
from torchsag.verdict.halves import HalvesOfListedPoses
from torchsag.verdict.input import judge_input
from torchsag.verdict.set_aside import SetAside
from torchsag.workflows.average.command import Average
from torchsag.workflows.classify import begun_with
from torchsag.workflows.classify.loop import ClassificationLoop
from torchsag.workflows.classify.phases import CLOSING, COMMON, phases
from torchsag.workflows.classify.results import FinishedClassification
from torchsag.workflows.classify.settings import ClassificationSettings
from torchsag.workflows.classify.state import ClassificationState

_log = logging.getLogger(__name__)

_USABLE = "particles that could be read"


@dataclass(frozen=True, kw_only=True)
class Classify(ClassificationSettings, ParticleRun):
    """Align particles to a common average, divide them, merge what is alike, align to the class averages, again.

    Beside `ClassificationSettings`:

    Attributes
    ----------
    local_alignment
        Takes over near known poses of the common average.
    reference
        A map for the common average to start from, low-passed; None starts from the particles alone (see start).
    mirror
        As in `torchsag.workflows.average.command.Average`.
    start
        First poses if there is no reference.
    common_iterations
        Iterations of averaging at most before particles are divided; 0 with start=listed_poses takes the list's poses.
    ccc_min
        Particles with a lower constrained correlation to their own class (left out of it) go to class 0; None for none.
    repeats
        Runs from as many seeds, to see how stable the classes are; the most likely one is the result.
    initial_resolution_angstrom, halves
        As in `torchsag.workflows.average.command.Average`.
    wedge_pca
        Looks at the particles by principal components as well; None for not.
    truth
        A list of the same particles with their true classes, to report the adjusted Rand index; None for none.
    cache_gigabytes
        Particles' transforms are kept in out/.checkpoint while the run lasts, up to this size; 0 reads particles each
        time.
    """

    local_alignment: Aligner | None = None
    reference: str | None = None
    mirror: bool | None = None
    start: Start = field(default_factory=RandomOrientations)
    common_iterations: int = 6
    ccc_min: float | None = None
    repeats: int = 3
    initial_resolution_angstrom: float = 60.0
    halves: Halves = field(default_factory=ListedOrRandomHalves)
    wedge_pca: WedgePCA | None = None
    truth: str | None = None
    cache_gigabytes: float = 8.0

    # What is kept of an unfinished run goes by chunk.
    how: ClassVar[frozenset[str]] = ParticleRun.how - {"chunk"} | {"truth", "wedge_pca", "ccc_min", "cache_gigabytes"}

    def __post_init__(self):
        super().__post_init__()
        self.check()
        check_size(self.cache_gigabytes)
        refuse_without_reference(self.mirror, self.reference)
        if self.repeats < 1:
            raise InputError(f"repeats: expected at least 1, got {self.repeats}")
        if self.common_iterations < 0:
            raise InputError(f"common_iterations: expected at least 0, got {self.common_iterations}")
        if not self.initial_resolution_angstrom > 0:
            raise InputError(
                f"initial_resolution_angstrom: expected a number above 0, got {self.initial_resolution_angstrom}"
            )
        if self.ccc_min is not None and not -1 <= self.ccc_min <= 1:
            raise InputError(f"ccc_min: expected a correlation from -1 to 1, got {self.ccc_min}")
        if self.common_iterations == 0 and not self.start.common_frame:
            raise InputError("common_iterations=0: expected start=listed_poses with it; random poses divide nothing")

    def __call__(self, provenance: Provenance) -> Outcome:
        """Classify, write the results below `out`, and say how it went.

        Raises
        ------
        InputError
            If something given from outside is unusable; results of earlier runs are then untouched.
        """
        with self.logged(provenance):
            return self.carry_out(provenance)[0]

    def carry_out(self, provenance: Provenance) -> tuple[Outcome, FinishedClassification | None]:
        """As a call; also, on the root, classes, poses and maps."""
        particles = self.read()
        truth = None if self.truth is None else true_classes(self.truth, particles)
        if self.classes > len(particles):
            raise InputError(f"classes: expected at most one per particle, {len(particles)}, got {self.classes}")
        with ExitStack() as stack:
            if self.parallel.is_root:
                stack.enter_context(claim(Path(self.out), command=provenance.command))
            checkpoint, gone = self._begin(particles)
            if checkpoint is not None:
                seeds = range(self.seed, self.seed + self.repeats)
                job.plan(
                    phases(
                        len(particles),
                        particles.box[0],
                        self.common_iterations,
                        seeds,
                        self.classes,
                        self.class_alignments,
                    )
                )
            poses, usable = self._first_poses(particles, provenance, checkpoint)
            particles = kept_while_running(particles, Path(self.out), self.cache_gigabytes)
            state = self.parallel.broadcast(None if checkpoint is None else ClassificationState.load(checkpoint.folder))
            state = ClassificationState(poses[usable, None]) if state is None else state
            finished = self._finish(particles, usable, state, checkpoint, gone)
            loop, state = finished.loop, finished.state
            check = None if self.wedge_pca is None else finished.principal_components(self.wedge_pca, self.seed)
            if checkpoint is None:
                return Outcome(), None
            record = {
                **surroundings(provenance, self.seed, loop.mapper.device, self.parallel.size),
                "method": type(self.method).__name__,
                "symmetry": self.symmetry,
                "common_symmetry": self.common_group.name,
                "particle_list": self.particles,
                "box": particles.box,
                "voxel_size_angstrom": particles.voxel_size,
                "wall_seconds": round(provenance.seconds, 1),
            }
            self._add_lost(state.lost)
            outcome = finished.publish(
                Path(self.out), record, provenance.configuration, self.report, truth, check, self.seed,
                self._judge(particles),
            )  # fmt: skip
            checkpoint.remove()
        return replace(outcome, strict=self.strict), finished

    def _finish(
        self,
        particles: ParticleSet,
        usable: Integer[Tensor, " usable"],
        state: ClassificationState,
        checkpoint: Checkpoint | None,
        gone: Mapping[int, str],
    ) -> FinishedClassification:
        """All that is left to do; particles that cannot be used any more are left behind, if that is allowed.

        `gone`: rows of those that have become so since the run was begun, and why.
        """
        usable = usable[~torch.isin(usable, torch.tensor([row for row, _ in state.lost], dtype=torch.long))]
        if len(state.poses) != len(usable):
            raise InputError(f"out={self.out}: holds an unfinished run of other particles; add resume=false")
        reached = [state]

        def save(now: ClassificationState) -> None:
            reached[0] = now
            if checkpoint is not None:
                now.save(checkpoint.folder)

        faults = {at: gone[row] for at, row in enumerate(usable.tolist()) if row in gone}
        while True:
            if faults:
                rows, usable = usable.tolist(), self._left(len(particles), usable, faults, checkpoint is not None)
                if checkpoint is not None:
                    self._loop(particles, usable).forget_views()
                save(reached[0].without(faults, rows, self.repeats))
            loop = self._loop(particles, usable)
            try:
                state, scene = loop(reached[0], save, checkpoint)
                job.begin(CLOSING)
                return FinishedClassification.of(loop, state, scene, usable, particles, self.ccc_min)
            except ParticleError as error:
                if not self.skip_bad:
                    raise
                faults = error.faults

    def _left(
        self, count: int, usable: Integer[Tensor, " usable"], faults: Mapping[int, str], said: bool
    ) -> Integer[Tensor, " left"]:
        """The rows that can still be used, once those at these positions no longer can."""
        left = [row for position, row in enumerate(usable.tolist()) if position not in faults]
        if len(left) < self.classes:
            raise InputError(
                f"{self.particles}: {len(left)} of {count} particles can still be used, too few for {self.classes} "
                f"classes; the first of the others: {next(iter(faults.values()))}"
            )
        for reason in faults.values() if said else ():
            _log.warning("set aside: %s", reason)
        return torch.tensor(left)

    def _add_lost(self, lost: Sequence[tuple[int, str]]) -> None:
        """Those that were lost on the way, to the list of those that never could be used."""
        path = Path(self.out) / "set_aside.txt"
        if lost:
            known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            write_set_aside(path, dict.fromkeys([*known, *(printable(reason) for _, reason in lost)]))

    def _judge(self, particles: ParticleSet) -> list[Finding | None]:
        """What can be said of the particles and their halves, and what the run that found the average said."""
        # What could not be used, from the beginning or later, was written down.
        path, aside = Path(self.out) / "set_aside.txt", SetAside()
        written = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        faults = [*written, *[""] * (len(particles) - len(written))]
        common = Path(self.out) / "common" / "metrics.json"
        if self.common_iterations > 0 and common.exists():
            found = Verdict.from_record(json.loads(common.read_text(encoding="utf-8"))["verdict"]).findings
            # How sure the common average is says little of its classes; whether it is one at all does.
            others = [
                f if f.severity == "wrong" else replace(f, severity="note") for f in found if f.code != aside.code
            ]
            return [aside(faults), *others]
        halves = self.halves(particles, self.seed)
        used = particles.halves is not None and torch.equal(particles.halves.long(), halves)
        return [
            aside(faults),
            *judge_input(particles, halves, self.seed),
            HalvesOfListedPoses()(particles.halves is not None, used, self.start.common_frame),
        ]

    def _begin(self, particles: ParticleSet) -> tuple[Checkpoint | None, dict[int, str]]:
        """The checkpoint, and what is wrong with particles that have gone since it was begun."""
        settings = {
            "reference": "" if self.reference is None else file_signature(self.reference),
            # Views and memberships go by row: they are of use for the very same list alone.
            "particles": hashlib.sha256(" ".join(particle_signatures(particles, as_listed=True)).encode()).hexdigest(),
        }
        checkpoint = self.open_checkpoint(**settings)
        gone: dict[int, str] = {}
        if checkpoint is not None and begun_with.is_known(checkpoint):
            gone = begun_with.gone_since(checkpoint, particles, Path(self.out), self.chunk or ON_CPU, self.skip_bad)
        elif checkpoint is not None:  # of anything else that is there nobody knows what files it was made from
            checkpoint = replace(self, resume=False).open_checkpoint(**settings)
            assert checkpoint is not None
            begun_with.note_files(checkpoint, particles)
        return checkpoint, self.parallel.broadcast(gone)

    def _first_poses(
        self, particles: ParticleSet, provenance: Provenance, checkpoint: Checkpoint | None
    ) -> tuple[Poses, Integer[Tensor, " usable"]]:
        """Poses in the frame of a common average, and the rows of particles that can be used."""
        if self.common_iterations == 0:
            return self.start(particles, self.seed), self._usable(particles, checkpoint)
        folder = Path(self.out) / "common"
        done = None if checkpoint is None else (checkpoint.folder / "common").exists()
        if not self.parallel.broadcast(done):
            job.begin(COMMON)
            self._average(folder)(provenance.part("common average"))
            if checkpoint is not None:
                if (folder / "set_aside.txt").is_file():
                    shutil.copy(folder / "set_aside.txt", Path(self.out))
                (checkpoint.folder / "common").touch()
        found = replace(self, particles=str(folder / "poses.star"))
        aligned = self.parallel.broadcast(found.read() if self.parallel.is_root else None)
        assert aligned is not None
        assert aligned.poses is not None
        row = {name: index for index, name in enumerate(particles.names)}
        usable = torch.tensor([row[name] for name in aligned.names])
        poses = Poses.identity(len(particles))
        poses.rotations[usable], poses.shifts[usable] = aligned.poses.rotations.float(), aligned.poses.shifts.float()
        return poses, usable

    def _average(self, folder: Path) -> Average:
        """The run that finds the common average."""
        own = {"out", "report"}
        return Average(
            out=str(folder),
            method=self.alignment,
            local_method=self.local_alignment,
            reference=self.reference,
            mirror=self.mirror,
            start=self.start,
            symmetry=self.common_group.name,
            halves=self.halves,
            mask=self.mask,
            initial_resolution_angstrom=self.initial_resolution_angstrom,
            iterations=self.common_iterations,
            cache_gigabytes=self.cache_gigabytes,
            **{field.name: getattr(self, field.name) for field in fields(ParticleRun) if field.name not in own},
        )

    def _usable(self, particles: ParticleSet, checkpoint: Checkpoint | None) -> Integer[Tensor, " usable"]:
        """Rows of particles that can be read as the run begins; the others end it unless they may be set aside."""
        known = None if checkpoint is None else checkpoint.kept(_USABLE)
        known = self.parallel.broadcast(None if known is None else known["rows"].tolist())
        if known is not None:
            return torch.tensor(known)

        def faults(rows: range) -> dict[int, str]:
            return load_usable(particles, rows, skip_bad=self.skip_bad)[2]

        count = len(particles)
        size = self.chunk or ON_CPU  # they are only read
        chunks = [range(start, min(start + size, count)) for start in range(0, count, size)]
        bad: dict[int, str] = {}
        for _, found in self.parallel.map_chunks(faults, chunks):
            bad.update(found)
        bad = self.parallel.broadcast(bad)
        if self.parallel.is_root:
            write_set_aside(Path(self.out) / "set_aside.txt", [bad[row] for row in sorted(bad)])
        good = [row for row in range(count) if row not in bad]
        if not good:
            raise InputError(f"{self.particles}: every particle was set aside; the first: {next(iter(bad.values()))}")
        if checkpoint is not None:
            checkpoint.keep(_USABLE, {"rows": np.array(good)})
        return torch.tensor(good)

    def _loop(self, particles: ParticleSet, usable: Integer[Tensor, " usable"]) -> ClassificationLoop:
        halves = self.halves(particles, self.seed)[usable]
        mapper = HalfMapper(
            particles=particles.select(usable.tolist()),
            halves=halves,
            mask=self.mask,
            coarsest_angstrom=self.initial_resolution_angstrom,
            device=pick_device(self.device),
            chunk=self.at_once(particles.box) if self.parallel.size == 1 else self.chunk or ON_CPU,
            workers=self.parallel,
            seed=self.seed,
            skip_bad=self.skip_bad,
        )
        last_shell = int(particles.box[0] * particles.voxel_size / self.resolution_angstrom)
        return ClassificationLoop(
            settings=self,
            mapper=mapper,
            last_shell=min(max(3, last_shell), particles.box[0] // 2 - 1),
            seeds=range(self.seed, self.seed + self.repeats),
            folder=Path(self.out) / ".checkpoint",
        )
