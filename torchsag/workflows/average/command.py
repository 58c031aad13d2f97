"""From particles to a map with a resolution one can believe: the loop behind ``torchsag average``."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from torchsag import loggers
from torchsag.averaging.filtering import weigh_shells
from torchsag.averaging.frames import symmetrised
from torchsag.averaging.halves import Halves, ListedOrRandomHalves
from torchsag.averaging.joint_refinement import Polish
from torchsag.averaging.starting_map import StartingMap
from torchsag.averaging.starts import RandomOrientations, Start
from torchsag.errors import InputError
from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.geometry import Poses, Symmetry
from torchsag.particles import DensityMap, ParticleSet
from torchsag.runs import job
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.closing import final_maps_seconds
from torchsag.runs.device import pick_device
from torchsag.runs.files import write_fsc, write_rows
from torchsag.runs.half_mapper import HalfMapper
from torchsag.runs.hand import in_hand_of, judge_hand, refuse_without_reference
from torchsag.runs.listed_origins import listed_origins
from torchsag.runs.matching_map import matching_map
from torchsag.runs.metrics import surroundings
from torchsag.runs.outcome import Outcome
from torchsag.runs.output_folder import claim, publish
from torchsag.runs.particle_run import ParticleRun
from torchsag.runs.provenance import Provenance
from torchsag.runs.signatures import file_signature
from torchsag.runs.transforms import check_size, kept_while_running
from torchsag.runs.truth import true_poses
from torchsag.runs.usable_particles import of_usable, say_left_out, seen_by
from torchsag.verdict import Finding
from torchsag.verdict.alignment import SAMPLE, judge_reference, judge_symmetry, judge_views
from torchsag.verdict.contrast import SomeOpposite
from torchsag.verdict.halves import HalvesOfListedPoses
from torchsag.verdict.input import judge_input
from torchsag.verdict.reference import NoBetterThanNoise
from torchsag.verdict.sample import LEAST_BOX, sample_rows, search_radius
from torchsag.workflows.average.controls import Control
from torchsag.workflows.average.files import iteration_folder, write_half_maps
from torchsag.workflows.average.final_maps import Known
from torchsag.workflows.average.inputs import completed, listed_poses, median_errors
from torchsag.workflows.average.loop import AveragingLoop
from torchsag.workflows.average.results import FinishedRun, save_poses
from torchsag.workflows.average.settings import AveragingSettings
from torchsag.workflows.average.state import AveragingState, unaligned

_CLOSING = "final maps and verdict"
# A later iteration by the first one (experiments/benchmarks/time_left.py).
_LATER_COST = 1.1


def phases(iterations: int, from_map: bool, particles: int, box: int) -> list[job.Phase]:
    """What is going to be done, at most."""
    found = [
        job.Phase(_iteration(number, iterations), particles, "iteration", cost=_LATER_COST, optional=number > 1)
        for number in range(1, iterations + 1)
    ]
    if from_map:  # one for all particles, at first
        found[0] = job.Phase(_iteration(1, iterations), particles, "first iteration")
    return [*found, job.Phase(_CLOSING, 1, "closing", seconds=final_maps_seconds(particles, box))]


def _iteration(number: int, most: int) -> str:
    return f"iteration {number} of at most {most}"


@dataclass(frozen=True, kw_only=True)
class Average(AveragingSettings, ParticleRun):
    """Align and average by turns, each half of the particles on its own.

    Beside `AveragingSettings`:

    Attributes
    ----------
    reference
        A map to start from, low-passed; None starts from the particles alone (see start).
    mirror
        Whether to begin with the mirror image of the reference; None finds out for tilt stacks, whose hand the sign of
        the tilt angles decides, and takes the reference as it is for volumes.
    start
        Their first poses if there is no reference.
    halves
        How the particles are divided.
    iterations
        At most this many iterations.
    converged_deg
        The run ends when poses change less than this in the median,
    patience
        or when this many iterations bring no larger area under the FSC. The best iteration is the result; the first
        of a run from a map does not compete.
    truth
        A list of true poses of the same particles, to report errors and the oracle's FSC; None for none.
    truth_symmetry
        Symmetry to divide out of pose errors where it is not imposed on the map; None takes symmetry.
    b_factor_angstrom2
        Applied to average.mrc; negative sharpens; None estimates it where the map is fine enough for a Guinier plot.
    polish
        A last refinement of each half; None for none.
    truth_map
        A map of the true structure, to report the average's FSC against it and its hand; None for none.
    control
        A change of the input that shows what the same settings make of nothing, or of too little; None for none.
    cache_gigabytes
        Particles' transforms are kept in out/.checkpoint while the run lasts, up to this size; 0 reads particles each
        time.
    """

    reference: str | None = None
    mirror: bool | None = None
    start: Start = field(default_factory=RandomOrientations)
    halves: Halves = field(default_factory=ListedOrRandomHalves)
    iterations: int = 12
    converged_deg: float = 0.25
    patience: int = 3
    b_factor_angstrom2: float | None = 0.0
    polish: Polish | None = None
    truth: str | None = None
    truth_symmetry: str | None = None
    truth_map: str | None = None
    control: Control | None = None
    cache_gigabytes: float = 8.0

    # A resumed run may also change how long it goes on, and what is made of its result.
    how: ClassVar[frozenset[str]] = ParticleRun.how | {
        "iterations", "converged_deg", "patience", "polish", "b_factor_angstrom2",
        "truth", "truth_symmetry", "truth_map", "cache_gigabytes",
    }  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        self.check()
        Symmetry(self.truth_symmetry or "C1")
        check_size(self.cache_gigabytes)
        refuse_without_reference(self.mirror, self.reference)
        for name in ("iterations", "patience"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected at least 1, got {getattr(self, name)}")

    def __call__(self, provenance: Provenance) -> Outcome:
        """Average, write the results below `out`, and say how it went.

        Raises
        ------
        InputError
            If something given from outside is unusable; results of earlier runs are then untouched.
        """
        with self.logged(provenance):
            return self.carry_out(provenance)[0]

    def carry_out(self, provenance: Provenance) -> tuple[Outcome, FinishedRun | None]:
        """As a call; also, on the root, what was run and what it found."""
        particles = self.read()
        truth = None if self.truth is None else true_poses(self.truth, particles)
        given, structure = (
            None if path is None else matching_map(path, particles, self.voxel_size_angstrom)
            for path in (self.reference, self.truth_map)
        )
        mirrored = False
        if given is not None:
            device = pick_device(self.device)
            given, mirrored = in_hand_of(
                particles, given, self.mirror, self.method, Symmetry(self.symmetry), device, self.parallel
            )
        reference = given
        if self.control is not None:
            particles = self.control.particles(particles, self.seed)
            reference = self.control.reference(given, Symmetry(self.symmetry))
        reference = None if reference is None else symmetrised(reference, Symmetry(self.symmetry))
        particles = kept_while_running(particles, Path(self.out), self.cache_gigabytes)
        loop = self._loop(particles, truth, reference)
        found = judge_input(particles, loop.halves, self.seed) if self.parallel.is_root else []
        found = [*found, judge_hand(self.mirror, mirrored)]
        with ExitStack() as stack:
            if self.parallel.is_root:
                stack.enter_context(claim(Path(self.out), command=provenance.command))
            signature = "" if self.reference is None else file_signature(self.reference)
            checkpoint = self.open_checkpoint(reference=signature)
            if self.parallel.is_root:
                job.plan(phases(self.iterations, self.reference is not None, len(particles), particles.box[0]))
            state = self._iterate(loop, checkpoint, reference)
            job.begin(_CLOSING)
            state = state if self.polish is None else loop.polished(state, self.polish)
            maps = loop.result_maps(state, self.polish is not None)
            oracle = None if truth is None else loop.average(unaligned(truth), Symmetry(self.symmetry))
            if checkpoint is None:
                return Outcome(), None
            state = replace(state, faults=loop.mapper.without_lost(state.faults))
            known = Known(oracle, structure, self._true_symmetry, given, self.control)
            final = loop.final_maps(maps, known, self.b_factor_angstrom2)
            run = FinishedRun(loop, state, final, [*found, *self._judge(loop, state, given)], self.iterations)
            metrics = {**self._metrics(loop, provenance), "reference_mirrored": mirrored}
            outcome = run.publish(Path(self.out), maps, metrics, provenance.configuration, self.report, self.strict)
            checkpoint.remove()
        return outcome, run

    def _judge(self, loop: AveragingLoop, state: AveragingState, given: DensityMap | None) -> list[Finding | None]:
        """What can be said of particles, halves and start; on the root."""
        particles = loop.particles
        used = particles.halves is not None and torch.equal(particles.halves.long(), loop.halves)
        from_list = given is None and self.start.common_frame
        findings = [HalvesOfListedPoses()(particles.halves is not None, used, from_list)]
        rows = torch.tensor([i for i, fault in enumerate(state.faults) if not fault])
        kept = particles.select(rows.tolist())
        if given is not None:
            centres = None if loop.centres is None else loop.centres[rows]
            known = self.truth is not None and self.truth_symmetry is None
            findings += judge_symmetry(given, loop.symmetry, known)

            def look(some: ParticleSet, at: list[int]) -> list[Finding | None]:
                from_where = None if centres is None else centres[at]
                return judge_reference(some, given, search_radius(self.method), from_where, self.seed)

            findings += seen_by(look, kept, self.skip_bad) or []
        told = any(finding is not None and finding.code == NoBetterThanNoise.code for finding in findings)
        if particles.box[0] >= LEAST_BOX and not told:
            sample = rows[torch.tensor(sample_rows(len(rows), SAMPLE, self.seed))].tolist()
            controls, _, faults = of_usable(lambda good: loop.scores_and_controls(state, good), sample, self.skip_bad)
            say_left_out(faults)
            if controls is not None:
                scores, noise, inverted = controls
                findings += [NoBetterThanNoise()(scores, noise), SomeOpposite()(scores, inverted)]
        symmetry = loop.symmetry if state.symmetric else Symmetry("C1")
        poses = state.result.poses[rows]
        views = seen_by(lambda some, at: judge_views(some, poses[at], symmetry, self.seed), kept, self.skip_bad)
        return [*findings, *(views or [])]

    @property
    def _true_symmetry(self) -> Symmetry:
        return Symmetry(self.truth_symmetry or self.symmetry)

    def _loop(self, particles: ParticleSet, truth: Poses | None, reference: DensityMap | None = None) -> AveragingLoop:
        halves = self.halves(particles, self.seed)

        def judge(poses: Poses) -> dict[str, float]:
            if truth is None:
                return {}
            return median_errors(poses, truth, halves, self._true_symmetry, particles.voxel_size)

        mapper = HalfMapper(
            particles=particles,
            halves=halves,
            mask=self.mask,
            coarsest_angstrom=self.initial_resolution_angstrom,
            device=pick_device(self.device),
            chunk=self.at_once(particles.box),
            workers=self.parallel,
            seed=self.seed,
            skip_bad=self.skip_bad,
        )
        common_frame = self.reference is not None or self.start.common_frame
        loop = AveragingLoop(self, mapper, common_frame, judge, listed_origins(particles, truth))
        if reference is None:
            return loop
        return replace(loop, given=StartingMap(reference, loop.initial_weight()))

    def _iterate(
        self, loop: AveragingLoop, checkpoint: Checkpoint | None, reference: DensityMap | None
    ) -> AveragingState:
        saved = None if checkpoint is None else AveragingState.load(checkpoint.folder)
        if saved is not None and len(saved.faults) != len(loop.particles):
            raise InputError(
                f"out={self.out}: holds an unfinished run of {len(saved.faults)} particles, {self.particles} has "
                f"{len(loop.particles)}; add resume=false to start over"
            )
        state = self.parallel.broadcast(saved)
        state = self._begin(loop, reference) if state is None else state
        while not self._finished(state):
            job.begin(_iteration(state.iteration + 1, self.iterations))
            state, fsc = loop.step(state, checkpoint)
            if checkpoint is not None and fsc is not None:
                self._record(loop, state, fsc)
                loggers.note("iteration", state.rows[-1])
                if state.best_iteration == state.iteration:
                    state.save(checkpoint.folder, "best")
                state.save(checkpoint.folder)
        best = None if checkpoint is None else AveragingState.load(checkpoint.folder, "best")
        best = self.parallel.broadcast(best)
        assert best is not None  # at least one iteration was made
        return replace(best, rows=state.rows)

    def _begin(self, loop: AveragingLoop, reference: DensityMap | None) -> AveragingState:
        """References before the first iteration."""
        particles, weight = loop.particles, loop.initial_weight()
        if reference is None:
            first = self.start(replace(particles, halves=loop.halves), self.seed)
            symmetric = self.start.common_frame
            sums = loop.sums(unaligned(first))
            poses = completed(first, listed_poses(particles))
            maps = references = torch.zeros(0)
            if self.parallel.is_root:
                symmetry = Symmetry(self.symmetry if symmetric else "C1")
                maps = torch.stack([m.density for m in loop.half_maps(sums, symmetry)])
                references = loop.references(sums, symmetry, weight)
            maps, references = self.parallel.broadcast((maps, references))
        else:
            poses, symmetric = listed_poses(particles), True
            maps = torch.stack([reference.density, reference.density])
            filtered = weigh_shells(reference, weight).density
            references = filtered.expand(2, loop.parts, *filtered.shape)
        faults = ("",) * len(particles)
        return AveragingState(0, unaligned(poses), maps, references, weight, symmetric, (), faults)

    def _finished(self, state: AveragingState) -> bool:
        """Out of iterations, or poses at rest, or no better map for `patience` iterations."""
        rows = state.rows
        if state.iteration >= self.iterations:
            return True
        if len(rows) < 2 or not rows[-2]["settled"]:
            return False
        return rows[-1]["median_change_deg"] < self.converged_deg or (
            state.iteration - state.best_iteration >= self.patience
        )

    def _record(self, loop: AveragingLoop, state: AveragingState, fsc: HalfMapFSC) -> None:
        """Maps, curves and poses of one iteration, and the table so far."""
        out = Path(self.out)
        with publish(out) as staging:
            folder = iteration_folder(staging, state.iteration)
            write_half_maps(folder, state.maps, loop.particles.voxel_size)
            write_fsc(folder / "fsc.csv", fsc)
            write_rows(staging / "iterations.csv", state.rows)
        save_poses(iteration_folder(out, state.iteration) / "poses.star", loop, state)

    def _metrics(self, loop: AveragingLoop, provenance: Provenance) -> dict[str, Any]:
        return {
            **surroundings(provenance, self.seed, loop.mapper.device, self.parallel.size),
            "method": type(self.method).__name__,
            "symmetry": self.symmetry,
            "control": None if self.control is None else type(self.control).__name__,
            "particle_list": self.particles,
            "reference": self.reference,
            "box": loop.particles.box,
            "voxel_size_angstrom": loop.particles.voxel_size,
            "wall_seconds": round(provenance.seconds, 1),
        }
