"""How the alignment of a particle set is divided among the processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from torchsag.alignment.shared_candidates import CandidateAligner, SharedCandidates
from torchsag.errors import InputError
from torchsag.parallel import Serial, Workers
from torchsag.runs.checkpoint import Checkpoint, Columns
from torchsag.runs.chunked_alignment import ChunkAligner, align_in_chunks


@runtime_checkable
class Sharing(Protocol):
    """A division of the work: a frozen dataclass and one yaml under ``conf/sharing``."""

    def __call__(
        self,
        aligner: ChunkAligner,
        chunk: int,
        workers: Workers,
        checkpoint: Checkpoint | None,
        signatures: Sequence[str],
        within: range,
    ) -> Columns:
        """As `align_in_chunks`."""
        ...


@dataclass(frozen=True)
class ByParticle:
    """Each process aligns some of the particles."""

    def __call__(
        self,
        aligner: ChunkAligner,
        chunk: int,
        workers: Workers,
        checkpoint: Checkpoint | None,
        signatures: Sequence[str],
        within: range,
    ) -> Columns:
        """See `Sharing`."""
        return align_in_chunks(aligner, chunk, workers, checkpoint, signatures, within)


@dataclass(frozen=True)
class ByCandidate:
    """All processes align the same particles, each refining some of their candidates (the paper's Algorithm 3)."""

    def __call__(
        self,
        aligner: ChunkAligner,
        chunk: int,
        workers: Workers,
        checkpoint: Checkpoint | None,
        signatures: Sequence[str],
        within: range,
    ) -> Columns:
        """See `Sharing`.

        Raises
        ------
        InputError
            If the method weighs candidates against each other on the way.
        """
        if not isinstance(aligner.method, CandidateAligner):
            raise InputError(
                "sharing=by_candidate: expected a method that refines each candidate by itself (sag, sag_basic, "
                f"candidate_refinement), got {type(aligner.method).__name__.removeprefix('Prepared')}; "
                "use sharing=by_particle"
            )
        shared = SharedCandidates(aligner.method, workers, aligner.device)
        if not workers.is_root:
            shared.serve()
            return {}
        columns = align_in_chunks(replace(aligner, method=shared), chunk, Serial(), checkpoint, signatures, within)
        shared.dismiss()
        return columns
