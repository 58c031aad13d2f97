"""Some of a run's particles tell the method how its reference compares with them, before the rest is aligned."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.alignment.aligner import PreparedAligner, calibrated, calibration_rows
from torchsag.particles import ParticleSet
from torchsag.runs.usable_particles import load_usable
from torchsag.timing import stage


def calibrated_with(
    method: PreparedAligner,
    particles: ParticleSet,
    device: torch.device,
    centres: Float[Tensor, "particles 3"] | None = None,
) -> PreparedAligner:
    """The method calibrated with particles from all over the set; as it is if it needs none.

    Particles that cannot be used are left out here: whether they end the run is decided where they are aligned.
    `centres` is as in `torchsag.runs.chunked_alignment.ChunkAligner`.
    """
    rows = calibration_rows(method, len(particles))
    with stage("calibration"):
        batch, rows, _ = load_usable(particles, rows, device)
        if batch is None:
            return method
        return calibrated(method, batch if centres is None else batch.recentred(centres[torch.tensor(rows)]))
