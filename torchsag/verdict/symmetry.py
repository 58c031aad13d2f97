"""Checks of a symmetry: has the map it, about these axes, and no more of it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from torchsag.averaging.symmetry_axes import find_symmetry_axes, symmetry_agreement
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.reference import isolated
from torchsag.particles import DensityMap
from torchsag.verdict.finding import Finding

# Shells out to here tell axes apart for a particle that fills half its box, and maps have little noise there.
_LAST_SHELL = 8
# Seven- and eightfold rings are told apart farther out only.
_LAST_SHELL_OF_ALL = 12
_CYCLIC = tuple(f"C{n}" for n in range(2, 9))
_FURTHER = (*(f"D{n}" for n in range(2, 9)), "T", "O", "I")


@dataclass(frozen=True)
class SymmetryInMap:
    """A symmetry that a map has not, has only nearly, or has about other axes.

    Attributes
    ----------
    least
        Mean correlation of the map with its symmetry mates, over shells 1 to 8, below which it has not the symmetry.
    nearly
        Below which it has it only nearly.
    gain
        By which factor what is missing to perfect agreement must be less about other axes; the best axes of a noisy map
        follow its noise a little.
    """

    least: float = 0.8
    nearly: float = 0.96
    gain: float = 3.0
    code: str = "symmetry_not_in_reference"
    axes_code: str = "symmetry_axes_differ"

    def __call__(self, volume: DensityMap, symmetry: Symmetry) -> Finding | None:
        """Judge a map."""
        if symmetry.order == 1:
            return None
        masked = replace(volume, density=isolated(volume.density.float().cpu()))
        last = min(_LAST_SHELL, volume.box[0] // 2 - 1)
        by_shell = symmetry_agreement(masked, symmetry, last, Poses.identity(1))
        here = float(by_shell.mean())
        if here >= self.nearly:
            return None
        evidence = {"agreement": here, "agreement_by_shell": by_shell.tolist()}
        best = find_symmetry_axes(masked, symmetry, last)
        evidence |= {"agreement_at_best_axes": best.agreement}
        if best.agreement >= self.least and self.gain * (1 - best.agreement) < 1 - here:
            angle = float(torch.rad2deg(symmetry.distance(best.pose.rotations, torch.eye(3)[None]))[0])
            shift = [round(x, 2) for x in best.pose.shifts[0].tolist()]
            text = (
                f"the map has {symmetry.name}, but about other axes, {angle:.0f} degrees and {_voxels(shift)} voxels "
                f"(x, y, z) away (correlation with its mates {here:.2f} here, {best.agreement:.2f} there): turn the "
                "map onto RELION's axes first"
            )
            return Finding(self.axes_code, "wrong", text, {**evidence, "angle_deg": angle, "shift_voxels": shift})
        text = (
            f"the map has not the symmetry {symmetry.name}: its correlation with its symmetry mates is {here:.2f}, "
            f"1 is perfect ({best.agreement:.2f} at the best axes); use symmetry=C1, or the symmetry that it has"
        )
        if here >= self.least:
            text = (
                f"the map has {symmetry.name} only nearly: its correlation with its symmetry mates is {here:.2f}; "
                "imposing it averages unlike parts"
            )
        return Finding(self.code, "wrong" if here < self.least else "doubt", text, evidence)


@dataclass(frozen=True)
class SymmetryNotUsed:
    """A map with more symmetry, about RELION's axes, than was given: poses that look alike count as different ones.

    Attributes
    ----------
    least
        Mean correlation of the map with its symmetry mates, over shells 1 to 12, from which on it has a symmetry.
    """

    least: float = 0.98
    code: str = "symmetry_not_used"

    def __call__(self, volume: DensityMap, given: Symmetry, with_truth: bool = False) -> Finding | None:
        """Judge a map; errors against a truth then count equivalent poses as wrong, which is a doubt."""
        if not given.name.startswith("C"):
            return None
        masked = replace(volume, density=isolated(volume.density.float().cpu()))
        last = min(_LAST_SHELL_OF_ALL, volume.box[0] // 2 - 1)
        found = {name: self._agreement(masked, name, last) for name in _CYCLIC}
        if max(found.values()) < self.least:
            return None  # all further ones have a cyclic one among them
        found |= {name: self._agreement(masked, name, last) for name in _FURTHER}
        name = max((n for n in found if found[n] >= self.least), key=lambda n: Symmetry(n).order)
        if Symmetry(name).order <= given.order:
            return None
        text = (
            f"the reference has the symmetry {name} (correlation with its mates {found[name]:.2f}), but "
            f"symmetry={given.name} was given: poses that look alike are taken for different ones"
        )
        if with_truth:
            text += ", and errors against the truth count them as wrong"
        text += f"; give symmetry={name} unless the particles lack it"
        evidence = {"symmetry": name, "given": given.name, "agreement": found[name]}
        return Finding(self.code, "doubt" if with_truth else "note", text, evidence)

    def _agreement(self, volume: DensityMap, name: str, last: int) -> float:
        return float(symmetry_agreement(volume, Symmetry(name), last, Poses.identity(1)).mean())


def _voxels(shift: Sequence[float]) -> str:
    return f"({', '.join(f'{x:g}' for x in shift)})"
