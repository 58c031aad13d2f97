"""From a structure to particles: what every simulation pipeline offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torchsag.geometry import Poses
from torchsag.particles import DensityMap, ParticleBatch


@runtime_checkable
class PreparedPipeline(Protocol):
    """A pipeline that has done what depends on the reference alone."""

    def __call__(self, poses: Poses, particles: Sequence[int], seed: int) -> ParticleBatch:
        """Image `particles` at their true poses, in the library's canonical form.

        Particle i depends on the seed and on i alone, not on the batch or the device.
        """
        ...


@runtime_checkable
class Pipeline(Protocol):
    """A way to make particles: a frozen dataclass and one yaml under ``conf/pipeline``."""

    @property
    def snr(self) -> float:
        """Signal to noise of the particles; what of, says `snr_convention`."""
        ...

    @property
    def snr_convention(self) -> str:
        """What the pipeline's SNR is the ratio of, for whoever prints it."""
        ...

    def prepare(self, reference: DensityMap) -> PreparedPipeline:
        """Do once what depends on the reference alone; its device is where particles are made."""
        ...
