"""Write a mask: the work behind ``torchsag mask``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from torchsag.averaging.mask import Mask, MaskFromMap, SphericalMask
from torchsag.errors import InputError
from torchsag.io import read_map, remove_remains, write_map
from torchsag.particles import DensityMap
from torchsag.runs.outcome import Outcome
from torchsag.runs.provenance import Provenance

_LARGEST_BOX = 2048


@dataclass(frozen=True)
class MakeMask:
    """A mask as the other commands make it, in a file.

    Attributes
    ----------
    out
        The file to write: .mrc, .map or .em.
    source
        A map that gives box, voxel size and density; None for none.
    box
        Without a map: the box, in voxels.
    voxel_size_angstrom
        Without a map, angstrom per voxel; with one, in place of what it says.
    mask
        What to draw.
    """

    out: str
    source: str | None = None
    box: int | None = None
    voxel_size_angstrom: float | None = None
    mask: Mask = field(default_factory=SphericalMask)

    def __post_init__(self):
        if (self.source is None) == (self.box is None):
            given = "neither" if self.box is None else "both"
            raise InputError(f"mask: expected a map, in=MAP, or a box, box=64, to draw the mask in, got {given}")
        if self.box is not None and not 2 <= self.box <= _LARGEST_BOX:
            raise InputError(f"box: expected 2 to {_LARGEST_BOX} voxels, got {self.box}")
        if self.source is None and not 0 < (self.voxel_size_angstrom or 0) < float("inf"):
            raise InputError(
                f"voxel_size_angstrom: expected angstrom per voxel above 0 beside box=, got {self.voxel_size_angstrom}"
            )
        if self.source is None and isinstance(self.mask, MaskFromMap):
            raise InputError("in: expected a map to draw the mask around for mask=from_map, got none; give in=MAP")

    def __call__(self, provenance: Provenance) -> Outcome:
        """Draw and write.

        Raises
        ------
        InputError
            If the map cannot be read, the mask is empty or fills its box, or the file cannot be written.
        """
        drawn_in = self._map()
        # As finely as the mask's own settings say.
        mask = self.mask(drawn_in, 0.0)
        low, high = float(mask.min()), float(mask.max())
        if high < 0.5 or low > 0.5:
            extent = " x ".join(f"{n * drawn_in.voxel_size:g}" for n in drawn_in.box)
            state = "empty" if high < 0.5 else "one all over the box"
            raise InputError(
                f"mask: expected a mask that ends within the box of {extent} angstrom, got one that is {state}"
            )
        remove_remains(Path(self.out).parent, below=False)
        write_map(self.out, DensityMap(mask, drawn_in.voxel_size))
        volume = float(mask.double().sum())
        share = 100 * volume / mask.numel()
        return Outcome(notes=(f"{Path(self.out)}: {volume:.0f} voxels, {share:.3g} % of the box, within the mask",))

    def _map(self) -> DensityMap:
        if self.source is not None:
            return read_map(self.source, self.voxel_size_angstrom)
        assert self.box is not None
        assert self.voxel_size_angstrom is not None
        return DensityMap(torch.zeros(self.box, self.box, self.box), self.voxel_size_angstrom)
