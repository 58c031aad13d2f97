"""The particles that an unfinished classification was begun with: which of them have gone, or are others now.

Views and memberships go by row, for the very same particles: of some less they can be taken, of others not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from torchsag.errors import InputError
from torchsag.particles import ParticleError, ParticleSet
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.signatures import particle_signatures
from torchsag.runs.usable_particles import advised, load_usable

_MARKS = "the files of all particles"


def is_known(checkpoint: Checkpoint) -> bool:
    """Whether the files that a run was begun with are written down, whole."""
    return checkpoint.kept(_MARKS) is not None


def note_files(checkpoint: Checkpoint, particles: ParticleSet) -> None:
    """Write down the files that a run begins with."""
    checkpoint.keep(_MARKS, {"marks": np.array(particle_signatures(particles))})


def gone_since(checkpoint: Checkpoint, particles: ParticleSet, out: Path, chunk: int, skip_bad: bool) -> dict[int, str]:
    """Rows of particles that can no longer be used since the run was begun, and why.

    Raises
    ------
    ParticleError
        If there are such and `skip_bad` is false.
    InputError
        If a particle's file is another one than when the run was begun.
    """
    kept = checkpoint.kept(_MARKS)
    assert kept is not None
    pairs = zip(kept["marks"].tolist(), particle_signatures(particles), strict=True)
    changed = [row for row, (then, now) in enumerate(pairs) if then != now]
    gone: dict[int, str] = {}
    for first in range(0, len(changed), chunk):
        _, usable, faults = load_usable(particles, changed[first : first + chunk])
        gone |= faults
        if usable:
            raise InputError(
                f"out={out}: holds an unfinished run, and the file of particle {particles.names[usable[0]]} has been "
                "changed since; put the old one back to finish that run, or add resume=false to start over"
            )
    if gone and not skip_bad:
        raise advised(ParticleError(gone))
    return gone
