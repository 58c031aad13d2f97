"""How a loss is divided into terms: what a partition offers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.axes import Box


@runtime_checkable
class Split(Protocol):
    """A box divided into parts of equal size, with the filters that make model and particle comparable part by part.

    The particle (in the library's form) is filtered whole, once, by `particle_weights`; the reference is filtered once
    by the isotropic `reference_weights`, which commute with rotations; what then remains of the particle's weight,
    `filter`, acts inside each part and is applied to the placed reference.
    """

    @property
    def num_terms(self) -> int:
        """Number of parts."""
        ...

    @property
    def part(self) -> Box:
        """Size (z, y, x) of each part, whose voxels are in that order."""
        ...

    @property
    def positions(self) -> Float[Tensor, "terms voxels 3"]:
        """Positions ``(x, y, z)`` of the voxels of each part relative to the box centre."""
        ...

    @property
    def particle_weights(self) -> Float[Tensor, "weights z y kx"]:
        """For each distinct weight, the factor on the particle's transform."""
        ...

    @property
    def reference_weights(self) -> Float[Tensor, "weights z y kx"]:
        """For each distinct weight, the isotropic factor on the reference's transform."""
        ...

    def cut(self, volumes: Float[Tensor, "*batch z y x"]) -> Float[Tensor, "*batch terms voxels"]:
        """Voxels of each part, in the order of `positions`."""
        ...

    def filter(
        self, parts: Float[Tensor, "problems b *channels voxels"], weight_index: Integer[Tensor, " problems"]
    ) -> Float[Tensor, "problems b *channels voxels"]:
        """The remaining filter inside each part: linear and self-adjoint."""
        ...


@runtime_checkable
class Partition(Protocol):
    """A way to divide the loss: a frozen dataclass and one yaml under ``conf/partition``."""

    def split(self, weights: Float[Tensor, "weights z y kx"], band: Float[Tensor, "z y kx"], box: Box) -> Split:
        """Divide a box for particles with these distinct weights.

        `band` is one inside the sphere of frequencies in use and zero outside, where the weights must be zero too.
        """
        ...
