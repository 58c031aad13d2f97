"""What can be done to a map before or after it is used, in one fixed order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.averaging.filtering import sharpen
from torchsag.averaging.frames import bring_back, symmetrised
from torchsag.averaging.mask import Mask
from torchsag.averaging.symmetry_axes import SymmetryAxes, find_symmetry_axes
from torchsag.axes import Box
from torchsag.errors import InputError
from torchsag.fourier import apply_filter, crop, half_frequencies, low_pass, pad, phase_ramp
from torchsag.fourier.filters import raised_cosine
from torchsag.geometry import Poses, Symmetry
from torchsag.geometry.normaliser import nearest_in_normaliser
from torchsag.imaging.map_mask import mask_from_map, otsu_threshold
from torchsag.imaging.masks import spherical_mask
from torchsag.imaging.reference import background, faces
from torchsag.particles import DensityMap
from torchsag.spectra.regridding import regridded, working_box

LARGEST_BOX = 1024
_EDGE_SHELLS = 2.0
# Voxels that a structure's outline is smoothed over before its centre is taken, so that noise is no part of it.
_SMOOTH_VOXELS = 4.0
_COARSE_SHELLS = (4, 6, 8)
# Standard deviations of the smoothed density at the faces, which a sphere's worth of voxels of noise hardly reaches.
_ABOVE_NOISE = 4.0


@dataclass(frozen=True)
class ChangedMap:
    """See `MapChanges`.

    Attributes
    ----------
    density_map
        The result.
    moved
        How far recentring has moved the density, voxels, (x, y, z); None without.
    axes
        Where the symmetry axes stood; None where they were not looked for.
    unsymmetrised
        The map as it was before its symmetry was imposed; None where none was.
    """

    density_map: DensityMap
    moved: Float[Tensor, "3"] | None = None
    axes: SymmetryAxes | None = None
    unsymmetrised: DensityMap | None = None


@dataclass(frozen=True, kw_only=True)
class MapChanges:
    """Changes of a map, carried out in the order of the attributes; without any the map stays as it is.

    What is turned, shifted or symmetrised and lies outside the largest sphere in the box comes back on the other side.

    Attributes
    ----------
    invert
        Turn the contrast: dark becomes bright.
    mirror
        Flip the hand: count x backwards about the box centre.
    recentre
        Move the centre of mass of the largest connected structure to the box centre.
    symmetry
        The point group of the next two, with RELION's axes.
    find_axes
        Find how the axes of the symmetry stand in the map, and turn and move them to where RELION has them.
    symmetrise
        Impose the symmetry.
    high_pass_angstrom, low_pass_angstrom
        Remove what is coarser, or finer, than this; None for neither.
    b_factor_angstrom2
        Multiply amplitudes by ``exp(-B / (4 d^2))``, d the resolution; negative sharpens.
    mask
        Multiply by this mask, drawn around the map as it then is; None for none.
    new_voxel_size_angstrom
        Rescale to this voxel size; None keeps it.
    box
        Crop or pad to this box, voxels of the new size, about the box centre; padded with the median over the faces.
        None keeps the extent.
    """

    invert: bool = False
    mirror: bool = False
    recentre: bool = False
    symmetry: str = "C1"
    find_axes: bool = False
    symmetrise: bool = True
    high_pass_angstrom: float | None = None
    low_pass_angstrom: float | None = None
    b_factor_angstrom2: float = 0.0
    mask: Mask | None = None
    new_voxel_size_angstrom: float | None = None
    box: int | None = None

    def __post_init__(self):
        group = Symmetry(self.symmetry)
        if self.find_axes and group.order == 1:
            raise InputError("find_axes: expected a symmetry whose axes to find, got symmetry=C1; give for example D7")
        for name in ("high_pass_angstrom", "low_pass_angstrom", "new_voxel_size_angstrom"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name}: expected a length above 0 angstrom or null, got {value}")
        high, low = self.high_pass_angstrom, self.low_pass_angstrom
        if high is not None and low is not None and high <= low:
            raise InputError(
                f"high_pass_angstrom: expected more than low_pass_angstrom, or nothing is left, got {high:g} "
                f"and {low:g}"
            )
        if not math.isfinite(self.b_factor_angstrom2):
            raise InputError(f"b_factor_angstrom2: expected a finite number, got {self.b_factor_angstrom2}")
        if self.box is not None and not 2 <= self.box <= LARGEST_BOX:
            raise InputError(f"box: expected 2 to {LARGEST_BOX} voxels, got {self.box}")

    def change(self, given: DensityMap) -> ChangedMap:
        """The changed map.

        Raises
        ------
        InputError
            If the map's box or voxel size does not go with a change.
        """
        self._check(given)
        changed = replace(given, density=-given.density.float() if self.invert else given.density.float())
        changed = changed.mirrored() if self.mirror else changed
        moved = centre_of_structure(changed, self.low_pass_angstrom) if self.recentre else None
        changed = changed if moved is None else _shifted(changed, -moved)
        group, axes = Symmetry(self.symmetry), None
        if self.find_axes:
            axes = self._axes(changed, group)
            changed = _beside_background(changed, lambda volume: bring_back(volume, axes.pose))
        before = changed if self.symmetrise and group.order > 1 else None
        if before is not None:
            changed = _beside_background(before, lambda volume: symmetrised(volume, group))
        changed = self._filtered(changed)
        if self.mask is not None:
            changed = replace(changed, density=changed.density * self.mask(changed, self.low_pass_angstrom or 0.0))
        return ChangedMap(self._on_grid(changed), None if moved is None else -moved, axes, before)

    def _check(self, given: DensityMap) -> None:
        if (self.find_axes or (self.symmetrise and Symmetry(self.symmetry).order > 1)) and len(set(given.box)) > 1:
            raise InputError(
                f"symmetry: expected a map in a cubic box, got {given.box} voxels (z, y, x); give it "
                "one with box= first"
            )
        finest = 2 * given.voxel_size
        for name in ("high_pass_angstrom", "low_pass_angstrom"):
            value = getattr(self, name)
            if value is not None and value < finest:
                raise InputError(f"{name}: expected at least {finest:g} angstrom, two voxels of the map, got {value:g}")
        largest = max(working_box(given.box, self._scale(given), self._box(given)))
        if largest > LARGEST_BOX and self._scale(given) != 1:
            raise InputError(
                f"new_voxel_size_angstrom: expected a map of at most {LARGEST_BOX} voxels along an edge, got "
                f"{largest}; crop it first, or take a larger voxel size"
            )

    def _axes(self, volume: DensityMap, symmetry: Symmetry) -> SymmetryAxes:
        """Looked for about the structure's centre, through which they go, wherever that is."""
        centre = centre_of_structure(volume, self.low_pass_angstrom)
        found = find_symmetry_axes(_shifted(volume, -centre), symmetry, self._last_shell(volume), _COARSE_SHELLS)
        placed = Poses(found.pose.rotations, found.pose.shifts + centre.to(found.pose.shifts))
        return _least_turn(replace(found, pose=placed), symmetry)

    def _last_shell(self, volume: DensityMap) -> int:
        """Axes are compared up to half the Nyquist frequency, or to the low-pass where that is coarser."""
        n = volume.box[0]
        coarsest = n // 4 if self.low_pass_angstrom is None else int(n * volume.voxel_size / self.low_pass_angstrom)
        return max(3, min(coarsest, n // 4))

    def _filtered(self, volume: DensityMap) -> DensityMap:
        density, size = volume.density, volume.voxel_size
        if self.high_pass_angstrom is not None:
            radius = half_frequencies(volume.box, device=density.device).norm(dim=-1)
            coarse = raised_cosine(radius, size / self.high_pass_angstrom, _EDGE_SHELLS / max(volume.box))
            density = apply_filter(density, 1 - coarse)
        if self.low_pass_angstrom is not None:
            density = low_pass(density, self.low_pass_angstrom, size, _EDGE_SHELLS)
        filtered = replace(volume, density=density)
        return sharpen(filtered, self.b_factor_angstrom2) if self.b_factor_angstrom2 else filtered

    def _scale(self, volume: DensityMap) -> float:
        return 1.0 if self.new_voxel_size_angstrom is None else volume.voxel_size / self.new_voxel_size_angstrom

    def _box(self, volume: DensityMap) -> Box:
        """The new box: as asked for, or what has the old extent and is as odd or even as the old one."""
        if self.box is not None:
            return self.box, self.box, self.box
        z, y, x = (max(2, 2 * round((n * self._scale(volume) - n % 2) / 2) + n % 2) for n in volume.box)
        return z, y, x

    def _on_grid(self, volume: DensityMap) -> DensityMap:
        box, scale = self._box(volume), self._scale(volume)
        if scale != 1:
            outside = background(volume.density)
            density = regridded(volume.density - outside, scale, box) + outside
            return DensityMap(density, volume.voxel_size / scale)
        smaller = tuple(min(old, new) for old, new in zip(volume.box, box, strict=True))
        if box == volume.box:
            return volume
        inner = crop(volume.density, (smaller[0], smaller[1], smaller[2]))
        return replace(volume, density=pad(inner, box, float(background(volume.density))))


def centre_of_structure(volume: DensityMap, low_pass_angstrom: float | None = None) -> Float[Tensor, "3"]:
    """Where the centre of mass of the largest connected structure lies from the box centre, voxels, (x, y, z).

    Raises
    ------
    InputError
        If no structure stands out.
    """
    smooth = max(_SMOOTH_VOXELS * volume.voxel_size, low_pass_angstrom or 0.0)
    density = volume.density.float() - background(volume.density.float())
    coarse = low_pass(density, smooth, volume.voxel_size)
    in_sphere = spherical_mask(volume.box, edge=0.0, device=density.device) > 0
    level = max(otsu_threshold(coarse[in_sphere]), _ABOVE_NOISE * float(faces(coarse).std()))
    inside = density.clamp_min(0) * mask_from_map(density, volume.voxel_size, smooth, level)
    total = inside.double().sum()
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in volume.box]
    sums = [inside.double().sum([a for a in range(3) if a != axis]) for axis in range(3)]
    z, y, x = (float((along * mass).sum() / total) for along, mass in zip(axes, sums, strict=True))
    return torch.tensor([x, y, z])


def _least_turn(axes: SymmetryAxes, symmetry: Symmetry) -> SymmetryAxes:
    """The same axes by the smallest turn: many lead to them, and a map that stands on them shall stay as it is."""
    rotation = axes.pose.rotations[0].double()
    least = rotation @ nearest_in_normaliser(symmetry, rotation).mT
    return replace(axes, pose=Poses(least.to(axes.pose.rotations)[None], axes.pose.shifts))


def _shifted(volume: DensityMap, shift: Float[Tensor, "3"]) -> DensityMap:
    """The density moved by a shift (voxels)."""
    axes = (-3, -2, -1)
    ramp = phase_ramp(half_frequencies(volume.box, dtype=torch.float32), shift.float())
    spectrum = torch.fft.rfftn(volume.density, dim=axes) * ramp
    return replace(volume, density=torch.fft.irfftn(spectrum, s=volume.box, dim=axes))


def _beside_background(volume: DensityMap, change: Callable[[DensityMap], DensityMap]) -> DensityMap:
    """A change of what stands out of the background, which a turn would smear at the box's corners."""
    outside = background(volume.density)
    changed = change(replace(volume, density=volume.density - outside))
    return replace(changed, density=changed.density + outside)
