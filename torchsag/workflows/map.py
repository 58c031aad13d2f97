"""Change a map: the work behind ``torchsag map``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from torchsag.averaging.map_changes import ChangedMap, MapChanges
from torchsag.errors import InputError
from torchsag.geometry import Symmetry
from torchsag.geometry.rotations import rotation_angle
from torchsag.io import read_map, remove_remains, write_map
from torchsag.io.volumes import read_volume_header
from torchsag.particles import DensityMap
from torchsag.runs.outcome import Outcome
from torchsag.runs.provenance import Provenance
from torchsag.verdict import Verdict
from torchsag.verdict.symmetry import SymmetryInMap


@dataclass(frozen=True, kw_only=True)
class EditMap(MapChanges):
    """One map changed into another, in a file.

    Attributes
    ----------
    map
        The map: .mrc, .map or .em.
    out
        The file to write; the suffix decides its format.
    voxel_size_angstrom
        Angstrom per voxel of the map in place of what its header says; None believes it.
    """

    map: str
    out: str
    voxel_size_angstrom: float | None = None

    def __post_init__(self):
        super().__post_init__()
        if Path(self.out).resolve() == Path(self.map).resolve():
            raise InputError(f"out: expected another file than map={self.map}, which would be lost")

    def __call__(self, provenance: Provenance) -> Outcome:
        """Read, change and write.

        Raises
        ------
        InputError
            If the map cannot be read, a change does not go with it, or the file cannot be written.
        """
        given = read_map(self.map, self.voxel_size_angstrom)
        found = self.change(given)
        changed, group = found.density_map, Symmetry(self.symmetry)
        origin = kept_in_place(read_volume_header(self.map).origin, given, changed)
        remove_remains(Path(self.out).parent, below=False)
        write_map(self.out, changed, origin=origin, label=f"map: {', '.join(self._done()) or 'copy'}")
        verdict = None
        if found.unsymmetrised is not None:
            verdict = Verdict.of([SymmetryInMap()(found.unsymmetrised, group)])
        return Outcome(notes=tuple(self._notes(found)), verdict=verdict)

    def _done(self) -> Iterator[str]:
        """The changes, in their order, as far as they fit into a label."""
        for name in ("invert", "mirror", "recentre", "find_axes"):
            if getattr(self, name):
                yield name
        if self.symmetrise and Symmetry(self.symmetry).order > 1:
            yield self.symmetry
        lengths = (("high_pass", self.high_pass_angstrom), ("low_pass", self.low_pass_angstrom))
        yield from (f"{name} {value:g} A" for name, value in lengths if value is not None)
        if self.b_factor_angstrom2:
            yield f"B {self.b_factor_angstrom2:g} A2"
        yield from ("mask",) if self.mask is not None else ()

    def _notes(self, found: ChangedMap) -> Iterator[str]:
        changed = found.density_map
        if found.moved is not None:
            yield f"recentred: moved by ({_shown(found.moved)}) voxels (x, y, z)"
        if found.axes is not None:
            turned = float(torch.rad2deg(rotation_angle(found.axes.pose.rotations[0])))
            yield (
                f"axes of {Symmetry(self.symmetry).name}: turned by {turned:.1f} degrees, moved by "
                f"({_shown(-found.axes.pose.shifts[0])}) voxels; the map agrees with its symmetry mates to "
                f"{found.axes.agreement:.2f} (1 is perfect)"
            )
        yield f"{Path(self.out)}: {changed.box} voxels (z, y, x) of {changed.voxel_size:g} angstrom"


def kept_in_place(
    origin: tuple[float, float, float], before: DensityMap, after: DensityMap
) -> tuple[float, float, float]:
    """The origin (angstrom, (x, y, z)) with which the box centre of a new grid lies where the old one's did."""
    x, y, z = (
        start + (old // 2) * before.voxel_size - (new // 2) * after.voxel_size
        for start, old, new in zip(origin, before.box[::-1], after.box[::-1], strict=True)
    )
    return x, y, z


def _shown(shift: torch.Tensor) -> str:
    return ", ".join(f"{round(value, 1) + 0.0:.1f}" for value in shift.tolist())
