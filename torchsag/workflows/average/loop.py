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

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.alignment.aligner import Aligner, AlignmentResult
from torchsag.averaging import MapSums
from torchsag.averaging.filtering import reference_weight, weigh_shells
from torchsag.averaging.frames import bring_back
from torchsag.averaging.joint_refinement import Polish
from torchsag.averaging.outline import Outline
from torchsag.averaging.regularisation import Regularisation
from torchsag.averaging.strength import Strength
from torchsag.evaluation.half_map_fsc import HalfMapFSC, compare_half_maps
from torchsag.fourier.filters import raised_cosine
from torchsag.geometry import Poses, Symmetry
from torchsag.parallel import Workers
from torchsag.particles import DensityMap, ParticleSet
from torchsag.particles.pure_noise import PureNoise
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.chunked_alignment import ChunkAligner, align_in_chunks, to_result
from torchsag.runs.chunked_sums import ChunkSums, half_map_sums
from torchsag.runs.signatures import particle_signatures
from torchsag.verdict.sample import best_scores, search_radius
from torchsag.workflows.average.final_maps import FinalMaps, HalfMaps, Known, final_maps
from torchsag.workflows.average.half_frames import axes_pose, composed, placement
from torchsag.workflows.average.inputs import pose_change
from torchsag.workflows.average.leave_out import EachToItsOwn, parts_of_halves
from torchsag.workflows.average.state import AveragingState, joined

_log = logging.getLogger(__name__)

_NO_SYMMETRY = Symmetry("C1")
# Denominators below this part of their shell's mean count as that: a wedge's edge is not worth its noise.
_FLOOR = 0.05


@dataclass(frozen=True)
class _Averaged:
    """Both half-maps in one frame, with the poses, sums and placement that gave them, and their FSC."""

    result: AlignmentResult
    sums: MapSums
    placement: Poses | None
    maps: tuple[DensityMap, DensityMap]
    fsc: HalfMapFSC


@dataclass(frozen=True)
class AveragingLoop:
    """What stays the same from one iteration to the next.

    Attributes
    ----------
    particles, halves
        The set, and 1 or 2 for each particle.
    method, local_method
        Aligners for all orientations, and for the neighbourhood of a pose.
    outline
        Makes the masks.
    symmetry
        Imposed in the end.
    common_frame
        Whether both halves began in one frame.
    parts
        Into how many parts each half is divided for leaving out.
    regularisation, strength
        How sums become references, and how much each particle counts in them.
    initial_resolution_angstrom
        The references are never filtered more strongly than this.
    symmetry_from
        First iteration that may impose symmetry, where the run began without a frame.
    local_below_deg
        The local method takes over when the median pose change falls below this.
    device, chunk, seed, workers, skip_bad
        How the work is carried out.
    judge
        Errors of poses against truth, by name, for the table.
    centres
        Where to look for each particle, voxels from its box centre; None for the box centres.
    """

    particles: ParticleSet
    halves: Integer[Tensor, " particles"]
    method: Aligner
    local_method: Aligner | None
    outline: Outline
    symmetry: Symmetry
    common_frame: bool
    parts: int
    regularisation: Regularisation
    strength: Strength
    initial_resolution_angstrom: float
    symmetry_from: int
    local_below_deg: float
    device: torch.device
    chunk: int
    seed: int
    workers: Workers
    skip_bad: bool
    judge: Callable[[Poses], dict[str, float]]
    centres: Float[Tensor, "particles 3"] | None = None

    def initial_weight(self) -> Float[Tensor, " shells"]:
        """A low-pass at the initial resolution."""
        shells = torch.arange(self.particles.box[0] // 2 + 1, dtype=torch.float32)
        return raised_cosine(shells, self._shell(self.initial_resolution_angstrom), 2.0)

    def step(self, state: AveragingState, checkpoint: Checkpoint | None) -> tuple[AveragingState, HalfMapFSC | None]:
        """The next state, on every rank, and on the root the FSC it came with."""
        began = time.perf_counter()
        local = self._is_local(state)
        result, faults = self._align(state, self._imposed(state.symmetric), local, checkpoint)
        symmetric, made = self._made(state, result)
        after, fsc = state, None
        if made is not None:
            fsc, result = made.fsc, made.result
            weight = reference_weight(fsc.corrected, self._shell(self.initial_resolution_angstrom))
            references = self.references(made.sums, self._imposed(symmetric), weight, made.placement)
            row = self._row(state, result, fsc, time.perf_counter() - began, local, symmetric)
            stacked = torch.stack([m.density for m in made.maps])
            rows = (*state.rows, row)
            after = AveragingState(state.iteration + 1, result, stacked, references, weight, symmetric, rows, faults)
        return self.workers.broadcast(after), fsc

    def polished(self, state: AveragingState, polish: Polish) -> AveragingState:
        """The state with each half's poses polished by itself, on every rank; the root does the work."""
        poses = state.result.poses
        if self.workers.is_root:
            symmetry = self._imposed(state.symmetric)
            rotations, shifts = poses.rotations.clone(), poses.shifts.clone()
            for half in (1, 2):
                members = ((self.halves == half) & poses.shifts.isfinite().all(-1)).nonzero()[:, 0]
                polished = polish(self.particles.load(members.tolist()), poses[members], symmetry, state.weight)
                rotations[members], shifts[members] = polished.rotations, polished.shifts
            poses = Poses(rotations, shifts)
            _log.info("polished by %s", type(polish).__name__)
        poses = self.workers.broadcast(poses)
        return replace(state, result=replace(state.result, poses=poses))

    def sums(self, result: AlignmentResult) -> MapSums:
        """Sums of every part of both halves, half after half; meaningful on the root."""
        group = (self.halves - 1) * self.parts + self._part + 1
        strength = self.strength(result.scores, result.ambiguity, self.halves)
        groups = 2 * self.parts
        job = ChunkSums(self.particles, result.poses, group, self.device, self.skip_bad, groups, strength)
        return half_map_sums(job, self.chunk, self.workers)

    def half_maps(self, sums: MapSums, symmetry: Symmetry) -> tuple[DensityMap, DensityMap]:
        """Both half-maps, unfiltered."""
        first, second = sums.pooled(self.parts).finish(symmetry, floor=_FLOOR)
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
        last = int((weight > 0).nonzero().max()) + 1
        others = sums.without_each(self.parts).within(min(last, self.particles.box[0] // 2))
        made = self.regularisation(others, symmetry, weight)
        framed = [*made[: self.parts], *(_bring_back(m, placement) for m in made[self.parts :])]
        return torch.stack([m.density for m in framed]).unflatten(0, (2, self.parts))

    def compare(self, maps: tuple[DensityMap, DensityMap]) -> HalfMapFSC:
        """FSC of half-maps under the union of their masks."""
        resolution = self.initial_resolution_angstrom
        mask = torch.maximum(self.outline(maps[0], resolution), self.outline(maps[1], resolution))
        return compare_half_maps(*maps, mask=mask, seed=self.seed)

    def final_maps(self, maps: HalfMaps, known: Known, b_factor_angstrom2: float | None) -> FinalMaps:
        """What final half-maps show."""
        return final_maps(
            maps,
            known,
            self.compare,
            self.outline,
            self.symmetry,
            self.initial_resolution_angstrom,
            b_factor_angstrom2,
        )

    def shows_something(self, fsc: HalfMapFSC) -> bool:
        """Whether half-maps agree beyond the low-pass of the first references.

        Up to there particles of pure noise do so too: a common start, or placing one half-map on the other, is enough.
        """
        return fsc.resolution() < 0.9 * self.initial_resolution_angstrom

    def _made(self, state: AveragingState, result: AlignmentResult) -> tuple[bool, _Averaged | None]:
        """Half-maps at new poses, on the root, and whether symmetry is imposed from here on.

        A run without a frame is given symmetry once its halves, each on the axes that it found by itself, agree.
        Imposed on maps that do not show their axes yet, it would hold the particles where they are.
        """
        due = state.iteration + 1 >= self.symmetry_from
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
        return _Averaged(placed, sums, turn, maps, self.compare(maps))

    def _imposed(self, symmetric: bool) -> Symmetry:
        return self.symmetry if symmetric else _NO_SYMMETRY

    def _align(
        self, state: AveragingState, symmetry: Symmetry, local: bool, checkpoint: Checkpoint | None
    ) -> tuple[AlignmentResult, tuple[str, ...]]:
        method = self.local_method if local and self.local_method is not None else self.method
        parts, rows = [], []
        faults = np.full(len(self.particles), "", dtype=object)
        for half in (1, 2):
            members = (self.halves == half).nonzero()[:, 0]
            members = members[self._part[members].argsort(stable=True)]
            prior = state.result.poses[members]
            subset = replace(self.particles.select(members.tolist()), poses=prior.to(torch.float64))
            references = [self.reference(state, half, part) for part in range(self.parts)]
            prepared = EachToItsOwn(
                tuple(method.prepare(reference, symmetry, self.device) for reference in references),
                dict(zip(subset.names, self._part[members].tolist(), strict=True)),
            )
            centres = None if self.centres is None else self.centres[members]
            aligner = ChunkAligner(subset, prepared, self.device, self.seed, self.skip_bad, centres)
            within = None if checkpoint is None else checkpoint.part(f"{state.iteration + 1:03d}-half{half}")
            columns = align_in_chunks(aligner, self.chunk, self.workers, within, particle_signatures(subset))
            columns = self.workers.broadcast(columns)
            parts.append(to_result(columns, np.arange(len(members))))
            rows.append(members)
            faults[members.numpy()] = columns["fault"]
        return joined(parts, rows), tuple(str(fault) for fault in faults)

    def reference(self, state: AveragingState, half: int, part: int = 0) -> DensityMap:
        """What a part of a half is aligned to: the half's other parts, filtered and masked."""
        filtered = DensityMap(state.references[half - 1, part], self.particles.voxel_size)
        mask = self.outline(filtered, self.initial_resolution_angstrom)
        return replace(filtered, density=filtered.density * mask)

    def scores_and_noise(self, state: AveragingState, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """How well some particles match the references they are aligned to, and how well noise in their place does."""
        scores, noise = [], []
        radius = 0.125 if search_radius(self.method) is None else float(search_radius(self.method) or 0.0)
        chosen = torch.tensor(rows)
        for half in (1, 2):
            for part in range(self.parts):
                here = chosen[(self.halves[chosen] == half) & (self._part[chosen] == part)].tolist()
                if here:
                    reference = self.reference(state, half, part)
                    sets = (self.particles, PureNoise.like(self.particles, self.seed + 1))
                    found = [best_scores(some.load(here), reference, radius) for some in sets]
                    scores.append(found[0])
                    noise.append(found[1])
        return torch.cat(scores), torch.cat(noise)

    @cached_property
    def _part(self) -> Integer[Tensor, " particles"]:
        return parts_of_halves(self.halves, self.parts)

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
        return placement(first, second, self.outline(first, self.initial_resolution_angstrom), self.method, symmetry)

    def _is_local(self, state: AveragingState) -> bool:
        if self.local_method is None or not state.rows or not state.symmetric:
            return False
        # The prior poses of a run from a reference say nothing: its first iteration has moved them at will.
        if state.rows[-1]["search"] == "local" or (self.common_frame and state.iteration == 1):
            return True
        return state.rows[-1]["median_change_deg"] < self.local_below_deg

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
            "search": "local" if local else "global",
            "symmetry": self.symmetry.name if symmetric else "C1",
            "settled": symmetric,
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
