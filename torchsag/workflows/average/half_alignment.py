"""How a turn of averaging aligns each half of the particles to its own map, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.alignment.aligner import Aligner, AlignmentResult, PreparedAligner, with_modes
from torchsag.geometry import Poses, Symmetry
from torchsag.likelihood.noise_shape import NoiseShape
from torchsag.particles import DensityMap
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.chunked_alignment import ChunkAligner, align_in_chunks, to_result
from torchsag.runs.half_mapper import HalfMapper
from torchsag.runs.record import Columns
from torchsag.runs.signatures import particle_signatures
from torchsag.workflows.average.leave_out import EachToItsOwn, parts_of_halves
from torchsag.workflows.average.noise import NoiseSample, told
from torchsag.workflows.average.state import AveragingState, joined


@dataclass(frozen=True)
class HalfAlignment:
    """Aligns the particles of a run.

    Attributes
    ----------
    mapper
        The particles, their halves, and how work is carried out.
    parts
        Into how many parts each half is divided for leaving out.
    centres
        Where to look for each particle, voxels from its box centre; None for the box centres.
    modes
        How many poses of each particle are wanted, where a method knows of several.
    """

    mapper: HalfMapper
    parts: int
    centres: Float[Tensor, "particles 3"] | None = None
    modes: int = 1

    @cached_property
    def part(self) -> Integer[Tensor, " particles"]:
        """Part ``0 .. parts - 1`` of each particle within its half."""
        return parts_of_halves(self.mapper.halves, self.parts)

    def references(self, state: AveragingState, half: int) -> tuple[DensityMap, ...]:
        """What each part of a half is aligned to: the half's other parts, filtered and masked.

        All by one mask, around the mean of them: an outline takes as long to draw as a map does to prepare.
        """
        filtered, voxel = state.references[half - 1], self.mapper.particles.voxel_size
        mask = self.mapper.mask_around(DensityMap(filtered.mean(0), voxel))
        return tuple(DensityMap(density * mask, voxel) for density in filtered)

    def found(
        self,
        method: Aligner,
        state: AveragingState,
        symmetry: Symmetry,
        checkpoint: Checkpoint | None,
        noise: NoiseShape | None = None,
    ) -> tuple[AlignmentResult, tuple[str, ...]]:
        """New poses of all particles, and what is wrong with each that has none, on every rank.

        `noise` is what is known of the particles' noise.
        """
        parts, rows = [], []
        faults = np.full(len(self.mapper.particles), "", dtype=object)
        for half in (1, 2):
            aligners = [told(aligner, noise) for aligner in self._prepared(method, state, half, symmetry)]
            members, prepared = self._by_part(half, aligners)
            within = None if checkpoint is None else checkpoint.part(f"{state.iteration + 1:03d}-half{half}")
            columns = self._columns(state.result.poses, members, prepared, prepared.outermost_shell, within)
            parts.append(to_result(columns, np.arange(len(members))))
            rows.append(members)
            faults[members.numpy()] = columns["fault"]
        return joined(parts, rows), tuple(str(fault) for fault in faults)

    def noise(self, method: Aligner, state: AveragingState, symmetry: Symmetry) -> NoiseShape:
        """What the particles at the poses of a state say of their noise, the same on every rank."""
        sample = NoiseSample(self.mapper, self.centres)
        beside = partial(method.prepare, self.references(state, 2)[0], symmetry, self.mapper.device)
        return sample(state.result.poses, beside)

    def _prepared(
        self, method: Aligner, state: AveragingState, half: int, symmetry: Symmetry
    ) -> tuple[PreparedAligner, ...]:
        """For each part of a half the aligner to its own reference."""
        prepared = (method.prepare(one, symmetry, self.mapper.device) for one in self.references(state, half))
        return tuple(with_modes(aligner, self.modes) for aligner in prepared)

    def _by_part(
        self, half: int, aligners: Sequence[PreparedAligner]
    ) -> tuple[Integer[Tensor, " members"], EachToItsOwn]:
        """The particles of a half, part by part, and what aligns each to its own reference."""
        members = self.mapper.members(half)
        members = members[self.part[members].argsort(stable=True)]
        names = [self.mapper.particles.names[row] for row in members.tolist()]
        return members, EachToItsOwn(tuple(aligners), dict(zip(names, self.part[members].tolist(), strict=True)))

    def _columns(
        self, poses: Poses, members: Tensor, method: EachToItsOwn, outermost: int | None, within: Checkpoint | None
    ) -> Columns:
        """What a method makes of some particles at poses."""
        mapper = self.mapper
        subset = replace(mapper.particles.select(members.tolist()), poses=poses[members].to(torch.float64))
        centres = None if self.centres is None else self.centres[members]
        aligner = ChunkAligner(subset.up_to(outermost), method, mapper.device, mapper.seed, mapper.skip_bad, centres)
        columns = align_in_chunks(aligner, mapper.chunk, mapper.workers, within, particle_signatures(subset))
        return mapper.workers.broadcast(columns)
