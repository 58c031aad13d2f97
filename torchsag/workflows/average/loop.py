"""One turn of gold-standard averaging: align each half to its own map, average, compare the halves, filter.

Nothing of one half's map ever enters the other's reference. What both share are the Fourier weights that their FSC
gives and, where the two began in unrelated frames, the one rigid placement that brings half-map 2 onto half-map 1.
Within a half, no particle is aligned to an average that it is part of (see `torchsag.workflows.average.leave_out`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.alignment.aligner import Aligner, AlignmentResult
from torchsag.averaging import MapSums
from torchsag.averaging.assignment import Assignment, BestPose, Posterior
from torchsag.averaging.filtering import reference_weight, weigh_shells
from torchsag.averaging.frames import bring_back
from torchsag.averaging.joint_refinement import Polish
from torchsag.averaging.starting_map import StartingMap
from torchsag.errors import InputError
from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.fourier import last_above
from torchsag.fourier.filters import raised_cosine
from torchsag.geometry import Poses, Symmetry
from torchsag.likelihood.noise_shape import NoiseShape
from torchsag.parallel import Workers
from torchsag.particles import DensityMap, ParticleSet
from torchsag.particles.pure_noise import PureNoise
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.half_mapper import HalfMapper
from torchsag.runs.usable_particles import load_usable
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.verdict.sample import search_radius
from torchsag.workflows.average.final_maps import FinalMaps, HalfMaps, Known, final_maps
from torchsag.workflows.average.half_alignment import HalfAlignment
from torchsag.workflows.average.half_frames import axes_pose, composed, placement
from torchsag.workflows.average.inputs import pose_change
from torchsag.workflows.average.settings import AveragingSettings
from torchsag.workflows.average.state import AveragingState

_log = logging.getLogger(__name__)

_NO_SYMMETRY = Symmetry("C1")


@dataclass(frozen=True)
class _Averaged:
    """Both half-maps in one frame, with the poses, sums and placement that gave them, and their FSC under a mask."""

    result: AlignmentResult
    sums: MapSums
    placement: Poses | None
    maps: tuple[DensityMap, DensityMap]
    mask: Float[Tensor, "z y x"]
    fsc: HalfMapFSC


@dataclass(frozen=True)
class AveragingLoop:
    """What stays the same from one iteration to the next.

    Attributes
    ----------
    settings
        How to go about it.
    mapper
        Makes half-maps of the particles.
    common_frame
        Whether both halves began in one frame.
    judge
        Errors of poses against truth, by name, for the table.
    centres
        Where to look for each particle, voxels from its box centre; None for the box centres.
    given
        The map that the run began from, in its references for as long as it knows more than the particles; None for a
        run from the particles alone.
    """

    settings: AveragingSettings
    mapper: HalfMapper
    common_frame: bool
    judge: Callable[[Poses], dict[str, float]]
    centres: Float[Tensor, "particles 3"] | None = None
    given: StartingMap | None = None

    @property
    def particles(self) -> ParticleSet:
        """The set."""
        return self.mapper.particles

    @property
    def halves(self) -> Integer[Tensor, " particles"]:
        """1 or 2 for each particle."""
        return self.mapper.halves

    @property
    def workers(self) -> Workers:
        """The processes that share the work."""
        return self.mapper.workers

    @cached_property
    def symmetry(self) -> Symmetry:
        """Imposed in the end."""
        return self.settings.group

    @cached_property
    def parts(self) -> int:
        """Into how many parts each half is divided for leaving out: no more than it has particles."""
        return min(self.settings.parts, *(len(self.mapper.members(half)) for half in (1, 2)))

    @cached_property
    def assignment(self) -> Assignment:
        """At which poses particles enter (experiments/benchmarks/posterior_averages.py)."""
        if self.settings.assignment is not None:
            return self.settings.assignment
        return BestPose() if self.common_frame or self.symmetry.order > 1 else Posterior()

    def initial_weight(self) -> Float[Tensor, " shells"]:
        """A low-pass at the initial resolution."""
        shells = torch.arange(self.particles.box[0] // 2 + 1, dtype=torch.float32)
        return raised_cosine(shells, self._shell(self.settings.initial_resolution_angstrom), 2.0)

    def step(self, state: AveragingState, checkpoint: Checkpoint | None) -> tuple[AveragingState, HalfMapFSC | None]:
        """The next state, on every rank, and on the root the FSC it came with."""
        began = time.perf_counter()
        local = self._is_local(state)
        method = self.settings.local_method if local else self.settings.method
        assert method is not None  # the neighbourhood is searched only where there is a method for it
        noise = self._noise(method, state, local)
        result, faults = self._alignment.found(method, state, self._imposed(state.symmetric), checkpoint, noise)
        if all(faults):
            raise InputError(f"every particle was set aside, none is left to average; the first: {faults[0]}")
        symmetric, made = self._made(state, result)
        after, fsc = state, None
        if made is not None:
            fsc, result = made.fsc, made.result
            weight = reference_weight(fsc.corrected, self._shell(self.settings.initial_resolution_angstrom))
            references = self._next_references(made, self._imposed(symmetric), weight)
            row = self._row(state, result, fsc, time.perf_counter() - began, local, symmetric)
            stacked = torch.stack([m.density for m in made.maps])
            rows, faults = (*state.rows, row), self.mapper.without_lost(faults)
            after = AveragingState(
                state.iteration + 1, result, stacked, references, weight, symmetric, rows, faults, noise
            )
        return self.workers.broadcast(after), fsc

    def _noise(self, method: Aligner, state: AveragingState, local: bool) -> NoiseShape | None:
        """What is known of the particles' noise: they are asked once, when their poses have begun to settle."""
        settled = local or (self.settings.local_method is None and state.iteration > 0)
        if state.noise is not None or not settled:
            return state.noise
        return self._alignment.noise(method, state, self._imposed(state.symmetric))

    def polished(self, state: AveragingState, polish: Polish) -> AveragingState:
        """The state with each half's poses polished by itself, on every rank; the root does the work."""
        poses = state.result.poses
        if self.workers.is_root:
            symmetry = self._imposed(state.symmetric)
            rotations, shifts = poses.rotations.clone(), poses.shifts.clone()
            for half in (1, 2):
                members = ((self.halves == half) & poses.shifts.isfinite().all(-1)).nonzero()[:, 0]
                batch, kept, faults = load_usable(self.particles, members.tolist(), skip_bad=self.mapper.skip_bad)
                self.mapper.lost.update(faults)
                if batch is not None:
                    polished = polish(batch, poses[kept], symmetry, state.weight)
                    rotations[kept], shifts[kept] = polished.rotations, polished.shifts
            poses = Poses(rotations, shifts)
            _log.info("polished by %s", type(polish).__name__)
        poses = self.workers.broadcast(poses)
        return replace(state, result=replace(state.result, poses=poses, modes=None))

    def sums(self, result: AlignmentResult) -> MapSums:
        """Sums of every part of both halves, half after half; meaningful on the root."""
        group = (self.halves - 1) * self.parts + self._alignment.part + 1
        strength = self.settings.strength(result.scores, result.ambiguity, self.halves)
        shared = self.assignment(result.poses, result.modes, self.halves)
        certain = shared.shares.shape[1] == 1
        return self.mapper.sums(result.poses, group, 2 * self.parts, strength, None if certain else shared)

    def half_maps(self, sums: MapSums, symmetry: Symmetry) -> tuple[DensityMap, DensityMap]:
        """Both half-maps, unfiltered."""
        first, second = self.mapper.maps(sums.pooled(self.parts), symmetry)
        return first, second

    def result_maps(self, state: AveragingState, polished: bool) -> tuple[DensityMap, DensityMap]:
        """Half-maps at the poses of a state: its own, unless poses or a frame have moved since."""
        if polished or not self.common_frame:
            return self.average(state.result, self._imposed(state.symmetric))
        first, second = (DensityMap(density, self.particles.voxel_size) for density in state.maps)
        return first, second

    def average(self, result: AlignmentResult, symmetry: Symmetry) -> tuple[DensityMap, DensityMap]:
        """Both half-maps at poses; meaningful on the root."""
        sums = self.sums(result)
        if not self.workers.is_root:
            empty = DensityMap(torch.zeros(self.particles.box), self.particles.voxel_size)
            return empty, empty
        return self.half_maps(sums, symmetry)

    def references(
        self, sums: MapSums, symmetry: Symmetry, weight: Float[Tensor, " shells"], placement: Poses | None = None
    ) -> Float[Tensor, "halves parts z y x"]:
        """For each part of each half the average of the half's other parts, filtered."""
        last = last_above(weight) + 1
        others = sums.without_each(self.parts).within(min(last, self.particles.box[0] // 2))
        made = self.settings.regularisation(others, symmetry, weight)
        framed = [*made[: self.parts], *(_bring_back(m, placement) for m in made[self.parts :])]
        return torch.stack([m.density for m in framed]).unflatten(0, (2, self.parts))

    def _next_references(
        self, made: _Averaged, symmetry: Symmetry, weight: Float[Tensor, " shells"]
    ) -> Float[Tensor, "halves parts z y x"]:
        if self.given is None:
            return self.references(made.sums, symmetry, weight, made.placement)
        of_average, added = self.given.blend(made.maps, made.mask, made.fsc.corrected)
        return self.references(made.sums, symmetry, of_average) + added.density

    def final_maps(self, maps: HalfMaps, known: Known, b_factor_angstrom2: float | None) -> FinalMaps:
        """What final half-maps show."""
        return final_maps(self.mapper.comparison, maps, known, self.symmetry, b_factor_angstrom2)

    def shows_something(self, fsc: HalfMapFSC) -> bool:
        """Whether half-maps agree beyond the low-pass of the first references.

        Up to there particles of pure noise do so too: a common start, or placing one half-map on the other, is enough.
        """
        return fsc.resolution() < 0.9 * self.settings.initial_resolution_angstrom

    def _made(self, state: AveragingState, result: AlignmentResult) -> tuple[bool, _Averaged | None]:
        """Half-maps at new poses, on the root, and whether symmetry is imposed from here on.

        A run without a frame is given symmetry once its halves, each on the axes that it found by itself, agree.
        Imposed on maps that do not show their axes yet, it would hold the particles where they are.
        """
        due = state.iteration + 1 >= self.settings.symmetry_from
        if due and not state.symmetric and self.symmetry.order > 1:
            tried = self._averaged(state, self._onto_symmetry_axes(result, state), self.symmetry)
            due = self.workers.broadcast(tried is not None and self.shows_something(tried.fsc))
            if due:
                return True, tried
        symmetric = state.symmetric or due
        return symmetric, self._averaged(state, result, self._imposed(symmetric))

    def _averaged(self, state: AveragingState, result: AlignmentResult, symmetry: Symmetry) -> _Averaged | None:
        sums = self.sums(result)
        if not self.workers.is_root:
            return None
        first, second = self.half_maps(sums, symmetry)
        turn = self._placement((first, second), state.weight, symmetry)
        maps = (first, _bring_back(second, turn))
        placed = result if turn is None else composed(result, self.halves == 2, turn)
        mask = self.mapper.comparison.common_mask(*maps)
        return _Averaged(placed, sums, turn, maps, mask, self.mapper.comparison.compare(*maps, mask))

    def _imposed(self, symmetric: bool) -> Symmetry:
        return self.symmetry if symmetric else _NO_SYMMETRY

    @cached_property
    def _alignment(self) -> HalfAlignment:
        return HalfAlignment(self.mapper, self.parts, self.centres, self.assignment.modes)

    def scores_and_controls(self, state: AveragingState, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """How well some particles match their references, how well noise in their place does, and inversions."""
        scores, noise, inverted = [], [], []
        known = search_radius(self.settings.method)
        radius = 0.125 if known is None else known.fraction
        chosen = torch.tensor(rows)
        without_signal = PureNoise.like(self.particles, self.mapper.seed + 1)
        for half in (1, 2):
            for part, reference in enumerate(self._alignment.references(state, half)):
                here = chosen[(self.halves[chosen] == half) & (self._alignment.part[chosen] == part)].tolist()
                if here:
                    search = RotationalMatching(num_candidates=1, max_shift=radius).prepare(reference, _NO_SYMMETRY)
                    upright, opposite = search.best_of_both_signs(self.particles.load(here))
                    scores.append(upright)
                    inverted.append(opposite)
                    noise.append(search.best_of_both_signs(without_signal.load(here))[0])
        return torch.cat(scores), torch.cat(noise), torch.cat(inverted)

    def _onto_symmetry_axes(self, result: AlignmentResult, state: AveragingState) -> AlignmentResult:
        """Each half finds the axes in its own map, which has stood in a frame of its own so far."""
        maps = self.average(result, _NO_SYMMETRY)
        if self.workers.is_root:
            for half, volume in enumerate(maps, start=1):
                result = composed(result, self.halves == half, axes_pose(volume, self.symmetry, state.weight))
        return self.workers.broadcast(result)

    def _placement(self, maps: tuple[DensityMap, DensityMap], weight: Tensor, symmetry: Symmetry) -> Poses | None:
        """What turns half-map 1 into half-map 2; None where the run began in one frame."""
        if self.common_frame:
            return None
        first, second = (weigh_shells(m, weight) for m in maps)
        return placement(first, second, self.mapper.mask_around(first), self.settings.method, symmetry)

    def _is_local(self, state: AveragingState) -> bool:
        if self.settings.local_method is None or not state.rows or not state.symmetric:
            return False
        # The prior poses of a run from a reference say nothing: its first iteration has moved them at will.
        if state.rows[-1]["search"] == "local" or (self.common_frame and state.iteration == 1):
            return True
        return state.rows[-1]["median_change_deg"] < self.settings.local_below_deg

    def _shell(self, resolution_angstrom: float) -> float:
        return self.particles.box[0] * self.particles.voxel_size / resolution_angstrom

    def _row(
        self,
        state: AveragingState,
        result: AlignmentResult,
        fsc: HalfMapFSC,
        seconds: float,
        local: bool,
        symmetric: bool,
    ) -> dict[str, Any]:
        before, after = state.result.poses, result.poses
        # Poses that nothing is known of have not changed by being found.
        known = state.iteration > 0 or (self.common_frame and self.particles.poses is not None)
        nan = float("nan")
        imposed = self._imposed(symmetric)
        angle, length = pose_change(before, after, self.halves, imposed, self.common_frame) if known else (nan, nan)
        row = {
            "iteration": state.iteration + 1,
            "resolution_0.143_angstrom": fsc.resolution(),
            "resolution_0.5_angstrom": fsc.resolution(0.5),
            "resolution_0.143_unmasked_angstrom": fsc.resolution(curve="unmasked"),
            "fsc_area_shells": fsc.area(),
            "median_change_deg": angle,
            "median_change_voxels": length,
            "median_score": float(result.scores.nanmedian()),
            "mean_ambiguity": float(result.ambiguity.nanmean()),
            "search": "local" if local else "global",
            "symmetry": self.symmetry.name if symmetric else "C1",
            "settled": symmetric and not (self.given is not None and state.iteration == 0),
            "seconds": round(seconds, 1),
            **self.judge(after),
        }
        _log.info(
            "iteration %d: %s angstrom (FSC 0.143), poses %s",
            row["iteration"],
            f"{row['resolution_0.143_angstrom']:.1f}" if math.isfinite(fsc.resolution()) else "no",
            f"changed by {angle:.2f} degrees in the median" if known else "found",
        )
        return row


def _bring_back(volume: DensityMap, placement: Poses | None) -> DensityMap:
    return volume if placement is None else bring_back(volume, placement)
