"""Parts that are the planes perpendicular to one axis."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.fourier.planes import filter_planes
from torchsag.imaging.sampling import AXES, plane_positions
from torchsag.scoring.partition import Box


@dataclass(frozen=True)
class PlaneSplit:
    """A `torchsag.scoring.partition.Split` into planes.

    Attributes
    ----------
    axis
        Which axis the planes are perpendicular to.
    box
        Size (z, y, x).
    particle_weights, reference_weights
        See `Split`.
    plane_weights
        The filter inside each plane, for each distinct weight; None for none.
    """

    axis: str
    box: Box
    particle_weights: Float[Tensor, "weights z y kx"]
    reference_weights: Float[Tensor, "weights z y kx"]
    plane_weights: Float[Tensor, "weights rows kcolumns"] | None

    @property
    def num_terms(self) -> int:
        """Number of planes."""
        return self.box[AXES.index(self.axis)]

    @property
    def part(self) -> Box:
        """One voxel along the axis."""
        z, y, x = (1 if axis == self.axis else n for n, axis in zip(self.box, AXES, strict=True))
        return z, y, x

    @property
    def positions(self) -> Float[Tensor, "terms voxels 3"]:
        """Positions of the voxels of each plane."""
        return plane_positions(self.box, self.axis, self.particle_weights.device).flatten(1, 2)

    def cut(self, volumes: Float[Tensor, "*batch z y x"]) -> Float[Tensor, "*batch terms voxels"]:
        """Voxels of each plane."""
        return volumes.movedim(AXES.index(self.axis) - 3, -3).flatten(-2)

    def filter(
        self, parts: Float[Tensor, "problems b *channels voxels"], weight_index: Integer[Tensor, " problems"]
    ) -> Float[Tensor, "problems b *channels voxels"]:
        """Filter inside each plane."""
        if self.plane_weights is None:
            return parts
        rows, columns = (n for n, axis in zip(self.box, AXES, strict=True) if axis != self.axis)
        weight = self.plane_weights[weight_index]
        weight = weight.reshape(len(weight), *[1] * (parts.ndim - 2), *weight.shape[1:])
        return filter_planes(parts.unflatten(-1, (rows, columns)), weight).flatten(-2)
