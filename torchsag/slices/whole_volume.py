"""No division: the loss as one term."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.axes import Box
from torchsag.imaging.sampling import voxel_positions
from torchsag.losses.constrained import filter_volume


@dataclass(frozen=True)
class WholeVolume:
    """One term: any weight is exact and any loss is welcome, but only methods that use all data at once apply."""

    def split(self, weights: Float[Tensor, "weights z y kx"], band: Float[Tensor, "z y kx"], box: Box) -> WholeSplit:
        """Keep a box whole."""
        return WholeSplit(box, weights, band)


@dataclass(frozen=True)
class WholeSplit:
    """A `torchsag.slices.partition.Split` into one part.

    Attributes
    ----------
    box
        Size (z, y, x).
    weights
        The distinct weights, applied to the placed reference in full.
    band
        One inside the sphere of frequencies in use.
    """

    box: Box
    weights: Float[Tensor, "weights z y kx"]
    band: Float[Tensor, "z y kx"]

    @property
    def num_terms(self) -> int:
        """One."""
        return 1

    @property
    def part(self) -> Box:
        """The box."""
        return self.box

    @property
    def positions(self) -> Float[Tensor, "terms voxels 3"]:
        """Positions of all voxels."""
        return voxel_positions(self.box, self.weights.device).reshape(1, -1, 3)

    @property
    def particle_weights(self) -> Float[Tensor, "weights z y kx"]:
        """What was measured."""
        return (self.weights > 0).to(self.weights.dtype)

    @property
    def reference_weights(self) -> Float[Tensor, "weights z y kx"]:
        """The band."""
        return self.band.expand_as(self.weights)

    def cut(self, volumes: Float[Tensor, "*batch z y x"]) -> Float[Tensor, "*batch terms voxels"]:
        """All voxels."""
        return volumes.flatten(-3).unsqueeze(-2)

    def filter(
        self, parts: Float[Tensor, "problems b *channels voxels"], weight_index: Integer[Tensor, " problems"]
    ) -> Float[Tensor, "problems b *channels voxels"]:
        """The full filter."""
        weight = self.weights[weight_index]
        weight = weight.reshape(len(weight), *[1] * (parts.ndim - 2), *weight.shape[1:])
        return filter_volume(parts.unflatten(-1, self.box), weight).flatten(-3)
