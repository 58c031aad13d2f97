"""What the particles of a run say of their noise, between two turns of averaging.

`torchsag align` asks some particles before it begins. Here they are asked at the poses of the turn before, and beside a
map that they had no part in: particles of the first half beside an average of the second. What they say, how noise is
spread within a Fourier shell and how much of it neighbours share, is of the noise alone, and told to all particles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.alignment.aligner import NoiseLearningAligner, PreparedAligner, calibration_rows
from torchsag.geometry import Poses
from torchsag.likelihood.noise_shape import NoiseShape
from torchsag.runs.half_mapper import HalfMapper
from torchsag.runs.usable_particles import load_usable
from torchsag.timing import stage


@dataclass(frozen=True)
class NoiseSample:
    """Some particles that are asked, the same on every process.

    Attributes
    ----------
    mapper
        The particles, and their halves.
    centres
        Where particles are looked for, voxels from their box centres; None for the box centres.
    """

    mapper: HalfMapper
    centres: Float[Tensor, "particles 3"] | None = None

    def __call__(self, poses: Poses, beside: Callable[[], PreparedAligner]) -> NoiseShape:
        """Noise of the first half's particles at poses, `beside` an aligner to a map of the second half.

        As if it were white within each shell where poses are not known, particles are few, or the aligner cannot tell.
        """
        members = self.mapper.members(1)
        members = members[poses.shifts[members].isfinite().all(-1)]
        if not len(members):
            return NoiseShape()
        with stage("calibration"):
            aligner = beside()
            rows = calibration_rows(aligner, len(members))
            asked = members[rows.start : rows.stop : rows.step].tolist()
            batch, kept, _ = load_usable(self.mapper.particles, asked, self.mapper.device)
            if batch is None or not isinstance(aligner, NoiseLearningAligner):
                return NoiseShape()
            there = poses[torch.tensor(kept)].to(self.mapper.device)
            if self.centres is None:
                return aligner.measured_noise(batch, there)
            centres = self.centres[torch.tensor(kept)]
            moved = Poses(there.rotations, there.shifts - centres.to(there.shifts))
            return aligner.measured_noise(batch.recentred(centres), moved)


def told(aligner: PreparedAligner, shape: NoiseShape | None) -> PreparedAligner:
    """The aligner for particles with such noise; as it is where nothing is known or it takes no notice of it."""
    if shape is None or not isinstance(aligner, NoiseLearningAligner):
        return aligner
    return aligner.with_noise(shape)
