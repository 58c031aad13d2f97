"""The turns of a classification: view, classify from several seeds, merge, align to the class averages, again."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag import loggers
from torchsag.alignment.aligner import outermost_shell, posing
from torchsag.averaging.filtering import weigh_shells, wiener_weight
from torchsag.classification.classifier import Division
from torchsag.classification.frame import CommonFrame
from torchsag.classification.mates import class_turns, symmetry_mates
from torchsag.classification.membership import Membership, labels, one_hot, poses
from torchsag.classification.merging import completed_likelihood
from torchsag.classification.population import Population
from torchsag.classification.settling import settle
from torchsag.geometry import Poses
from torchsag.parallel import Workers
from torchsag.particles import ParticleError, ParticleSet
from torchsag.runs import job
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.chunked_alignment import ChunkAligner, align_in_chunks, to_result
from torchsag.runs.half_mapper import HalfMapper
from torchsag.runs.signatures import particle_signatures
from torchsag.workflows.classify import phases
from torchsag.workflows.classify.class_maps import ClassMap, class_maps
from torchsag.workflows.classify.settings import ClassificationSettings
from torchsag.workflows.classify.state import ClassificationState
from torchsag.workflows.classify.view_store import ViewStore

_log = logging.getLogger(__name__)

Save = Callable[[ClassificationState], None]


@dataclass(frozen=True)
class Scene:
    """The particles as one stage sees them.

    Attributes
    ----------
    frame
        Of their common average.
    population
        Their views.
    common
        The common average with its half-maps.
    """

    frame: CommonFrame
    population: Population
    common: ClassMap


@dataclass(frozen=True)
class ClassificationLoop:
    """What stays the same from one stage to the next.

    Attributes
    ----------
    settings
        How particles are divided.
    mapper
        Makes maps of the particles, all of them usable, by class.
    last_shell
        The band in which classes are compared.
    seeds
        One run from each.
    folder
        For what is kept while the run lasts, seen by all processes.
    """

    settings: ClassificationSettings
    mapper: HalfMapper
    last_shell: int
    seeds: range
    folder: Path

    @property
    def particles(self) -> ParticleSet:
        """What is divided."""
        return self.mapper.particles

    @property
    def workers(self) -> Workers:
        """The processes that share the work."""
        return self.mapper.workers

    @property
    def stages(self) -> int:
        """How often the particles are divided."""
        return 1 + self.settings.class_alignments

    def __call__(
        self, state: ClassificationState, save: Save, checkpoint: Checkpoint | None
    ) -> tuple[ClassificationState, Scene]:
        """All stages that are left. The result's one finished membership is that of the particles in `Scene`.

        Raises
        ------
        ParticleError
            If some particles can no longer be used, on every rank; what was saved last goes on without them.
        """
        while True:
            scene = self.scene(state)
            state = self._divide(state, scene, save)
            if state.stage + 1 >= self.stages:
                return state, scene
            candidates = self._align(state, scene, checkpoint)
            kept = self._carried_over(state, scene)
            state = replace(state, poses=candidates, stage=state.stage + 1, finished=(kept,), values=())
            save(state)
            if self.workers.is_root:
                shutil.rmtree(self._views(state.stage - 1), ignore_errors=True)

    def scene(self, state: ClassificationState) -> Scene:
        """The common average at the first candidate poses, and all particles seen from it."""
        everyone = torch.zeros(len(self.particles), dtype=torch.long)
        common = class_maps(self.mapper, state.poses[:, 0], everyone, 1, self.settings.common_group)[0]
        average = weigh_shells(common.whole, wiener_weight(common.fsc.corrected))
        mask = self.settings.focus_or_mask(average, self.mapper.coarsest_angstrom)
        frame = CommonFrame(average, self.settings.group, self.settings.common_group, self.last_shell, mask)
        count, chunk = len(self.particles), self.mapper.chunk
        chunks = [range(start, min(start + chunk, count)) for start in range(0, count, chunk)]
        job.begin(phases.views(state.stage))
        store = ViewStore(self._views(state.stage), frame, self.particles, state.poses, self.mapper.skip_bad)
        store.make(chunks, self.workers)
        candidates = state.poses.shifts.shape[1] * len(frame.mates)
        population = Population(
            chunks,
            store.load,
            frame.prior(self.settings.contrast),
            frame.common,
            self.settings.noise_class,
            candidates,
            self.workers,
        )
        return Scene(frame, population, common)

    def _views(self, stage: int) -> Path:
        return self.folder / f"views{stage}"

    def forget_views(self) -> None:
        """Views go by row: they are of no use for fewer particles."""
        for folder in self.folder.glob("views*"):
            shutil.rmtree(folder, ignore_errors=True)

    def best_poses(self, membership: Membership, candidates: Poses) -> Poses:
        """The pose at which each particle counts, mates included."""
        mates = membership.shape[1] // candidates.shifts.shape[1]
        at = poses(membership)
        everyone = torch.arange(len(at))
        chosen = candidates[everyone, at // mates]
        turns = symmetry_mates(self.settings.group, self.settings.common_group)[at % mates].to(chosen.rotations)
        return Poses(chosen.rotations @ turns, chosen.shifts)

    def _divide(self, state: ClassificationState, scene: Scene, save: Save) -> ClassificationState:
        """Runs from all seeds at first; later the one division settles at its new poses."""
        if state.stage > 0:
            if not state.values:
                job.begin(phases.settling(state.stage))
                settled = self._settle(scene, state.finished[0])
                value = completed_likelihood(scene.population, settled)
                rows = (*state.rows, self._row(state.stage, self.seeds[0], settled, value))
                state = replace(state, finished=(settled,), values=(value,), rows=rows)
                save(state)
            return state
        for seed in self.seeds[len(state.finished) :]:
            job.begin(phases.division(seed))
            state = self._one_run(state, scene, seed, save)
            job.advance(1)
            save(state)
        best = int(np.argmax(state.values))
        return replace(state, finished=(state.finished[best],), values=(state.values[best],))

    def _one_run(self, state: ClassificationState, scene: Scene, seed: int, save: Save) -> ClassificationState:
        population = scene.population
        division = state.division
        if division is None:
            first = self.settings.first_classes(population, scene.frame, self.particles, self.settings.classes, seed)
            division = Division.of(first)
        while not division.finished:
            division = self.settings.method.step(population, division, seed)
            if division.rows:
                loggers.note("round", division.rows[-1], f"seed {seed}")
            save(replace(state, division=division))
        settled = self._settle(scene, division.best)
        value = completed_likelihood(population, settled)
        rows = tuple({"stage": 0, "seed": seed, **row} for row in division.rows)
        return replace(
            state,
            division=None,
            finished=(*state.finished, settled),
            values=(*state.values, value),
            rows=(*state.rows, *rows, self._row(0, seed, settled, value)),
            seed_labels=(*state.seed_labels, labels(settled)),
        )

    def _settle(self, scene: Scene, membership: Membership) -> Float[Tensor, "particles candidates left"]:
        turns = class_turns(scene.frame.mates, self.settings.group) if self.settings.merge else None
        return settle(scene.population, membership, turns)

    def _row(self, stage: int, seed: int, settled: Membership, value: float) -> dict[str, Any]:
        sizes = settled.sum((0, 1)).tolist()
        _log.info(
            "stage %d, seed %d: %s particles in classes%s", stage, seed,
            " ".join(f"{size:.0f}" for size in (sizes[:-1] if self.settings.noise_class else sizes)),
            f", {sizes[-1]:.0f} fit nothing" if self.settings.noise_class else "",
        )  # fmt: skip
        loggers.note("division", {"completed_likelihood": value})
        return {"stage": stage, "seed": seed, "round": -1, "completed_likelihood": value, "sizes": sizes}

    def formed(self, membership: Membership) -> int:
        """How many classes have an average."""
        return membership.shape[2] - int(self.settings.noise_class)

    def _align(self, state: ClassificationState, scene: Scene, checkpoint: Checkpoint | None) -> Poses:
        """Candidate poses: the present one, then one against each class average of the particle's own half."""
        job.begin(phases.alignment(state.stage))
        membership = state.finished[0]
        present = self.best_poses(membership, state.poses)
        maps = class_maps(self.mapper, present, labels(membership), self.formed(membership), self.settings.group)
        rotations = present.rotations[:, None].repeat(1, 1 + len(maps), 1, 1)
        shifts = present.shifts[:, None].repeat(1, 1 + len(maps), 1)
        for number, one in enumerate(maps, start=1):
            for half in (1, 2):
                reference = one.reference(half, self.mapper.mask, self.mapper.coarsest_angstrom)
                members = self.mapper.members(half)
                subset = replace(self.particles.select(members.tolist()), poses=present[members].to(torch.float64))
                prepared = posing(self.settings.alignment.prepare(reference, self.settings.group, self.mapper.device))
                seen = subset.up_to(outermost_shell(prepared))
                aligner = ChunkAligner(seen, prepared, self.mapper.device, self.mapper.seed, self.mapper.skip_bad)
                part = None if checkpoint is None else checkpoint.part(f"align{state.stage}-{number}-{half}")
                columns = align_in_chunks(aligner, self.mapper.chunk, self.workers, part, particle_signatures(subset))
                columns = self.workers.broadcast(columns)
                if lost := {int(row): str(why) for row, why in zip(members, columns["fault"], strict=True) if why}:
                    raise ParticleError(lost)
                aligned = to_result(columns, np.arange(len(members))).poses
                rotations[members, number], shifts[members, number] = aligned.rotations, aligned.shifts
        return Poses(rotations, shifts)

    def _carried_over(
        self, state: ClassificationState, scene: Scene
    ) -> Float[Tensor, "particles new_candidates classes"]:
        """Each particle in its class still, at its present pose: the first candidate."""
        membership = state.finished[0]
        candidates = (1 + self.formed(membership)) * len(scene.frame.mates)
        like = torch.zeros(len(membership), candidates, membership.shape[2])
        return one_hot(labels(membership), like)
