"""Point groups with RELION's axes: Cn about z; Dn adds a two-fold about x; T, O, I as documented at `Symmetry`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Rotations
from torchsag.errors import InputError
from torchsag.geometry.coordinates import require_broadcast, require_coordinates
from torchsag.geometry.rotations import rotation_angle, rotvec_to_matrix
from torchsag.keeping import kept, kept_property

# Generators as (axis, fold). RELION: T has a 3-fold on z and a 2-fold on (0, sqrt(2/3), sqrt(1/3)); O has its 4-folds
# on x, y, z; I is I2, the "crystallographic" setting with 2-folds on x, y, z and a 5-fold in the xz plane.
_GOLDEN = (1 + math.sqrt(5)) / 2
_POLYHEDRAL = {
    "T": [((0.0, 0.0, 1.0), 3), ((0.0, math.sqrt(2 / 3), math.sqrt(1 / 3)), 2)],
    "O": [((0.0, 0.0, 1.0), 4), ((1.0, 1.0, 1.0), 3)],
    "I": [((0.0, 0.0, 1.0), 2), ((1.0, 0.0, _GOLDEN), 5), ((1.0, 1.0, 1.0), 3)],
}


# Entries of equal rotations differ by less.
_SAME = 1e-6


@dataclass(frozen=True)
class Symmetry:
    """The rotations that leave a reference unchanged.

    Attributes
    ----------
    name
        ``C1``, ``Cn``, ``Dn``, ``T``, ``O`` or ``I`` (RELION's I2), case-insensitive.
    """

    name: str = "C1"

    def __post_init__(self):
        name = str(self.name).strip().upper()
        if not re.fullmatch(r"C[1-9]\d*|D[1-9]\d*|T|O|I|I2", name):
            raise InputError(
                f"symmetry: expected C1, Cn, Dn, T, O or I with n >= 1, got {self.name!r}; for example symmetry=D7"
            )
        object.__setattr__(self, "name", "I" if name == "I2" else name)

    @kept_property
    def rotations(self) -> Float[Tensor, "order 3 3"]:
        """All rotations of the group, identity first, float64."""
        return _group(self.name)

    @property
    def order(self) -> int:
        """Number of rotations."""
        return self.rotations.shape[0]

    @kept_property
    def fold_about_z(self) -> int:
        """How many of the rotations are about z."""
        return int((self._tilts < _SAME).sum())

    @property
    def is_cyclic(self) -> bool:
        """Whether all rotations are about z, so that nothing fixes where along z a map lies."""
        return self.fold_about_z == self.order

    @property
    def is_dihedral(self) -> bool:
        """Whether the other half of the rotations are half-turns about axes perpendicular to z."""
        return 2 * self.fold_about_z == self.order

    @kept_property
    def generators(self) -> Float[Tensor, "generators 3 3"]:
        """The smallest turn about z and, beyond cyclic groups, one rotation that does not keep z."""
        about_z = self._tilts < _SAME
        return torch.cat([self.rotations[about_z][1:2], self.rotations[~about_z][:1]])

    @property
    def _tilts(self) -> Float[Tensor, " order"]:
        """How far each rotation leads z away from itself: one minus the cosine."""
        return 1 - self.rotations[:, 2, 2]

    def is_closed_under(self, turn: Float[Tensor, "3 3"]) -> bool:
        """Whether a turn leaves the set of axes as it is: ``h^-1 S h = S``."""
        turned = turn.mT @ self.rotations @ turn
        return bool(((turned[:, None] - self.rotations).abs().amax((-2, -1)).amin(1) < _SAME).all())

    def distance(
        self, first: Float[Tensor, "*#batch 3 3"], second: Float[Tensor, "*#batch 3 3"]
    ) -> Float[Tensor, "..."]:
        """Smallest angle (radians) between two poses' rotations when symmetry-equivalent ones count as the same.

        The batches broadcast.
        """
        require_coordinates("first rotations", first, 3, 3)
        require_coordinates("second rotations", second, 3, 3)
        require_broadcast("first rotations", first, "second rotations", second)
        relative = first.mT @ second
        group = self.rotations.to(relative)
        # trace(S^T R) for every S in the group; the nearest S has the largest trace.
        nearest = torch.einsum("gij,...ij->...g", group, relative).argmax(-1)
        rest = group[nearest].mT @ relative
        return rotation_angle(rest)

    def nearest(self, rotation: Rotations, target: Rotations) -> Rotations:
        """Of the equivalents ``R S`` of `rotation`, the one closest to `target`."""
        group = self.rotations.to(rotation)
        index = torch.einsum("gij,...ij->...g", group, rotation.mT @ target).argmax(-1)
        return rotation @ group[index]


@kept(32)
def _group(name: str) -> Float[Tensor, "order 3 3"]:
    if name[0] in "CD":
        fold = int(name[1:])
        angles = torch.arange(fold, dtype=torch.float64) * (2 * math.pi / fold)
        about_z = rotvec_to_matrix(angles[:, None] * torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
        if name[0] == "C":
            return about_z
        flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
        return torch.cat([about_z, about_z @ flip])
    return _closure([_axis_turn(axis, fold) for axis, fold in _POLYHEDRAL[name]])


def _axis_turn(axis: tuple[float, float, float], fold: int) -> Float[Tensor, "3 3"]:
    direction = torch.tensor(axis, dtype=torch.float64)
    return rotvec_to_matrix(direction / direction.norm() * (2 * math.pi / fold))


def _closure(generators: list[Tensor]) -> Float[Tensor, "order 3 3"]:
    """Multiply until nothing new appears."""
    group = torch.eye(3, dtype=torch.float64)[None]
    while True:
        products = torch.cat([group] + [group @ g for g in generators])
        kept: list[Tensor] = []
        for candidate in products:
            if not any(torch.allclose(candidate, known, atol=1e-9) for known in kept):
                kept.append(candidate)
        if len(kept) == len(group):
            return group
        group = torch.stack(kept)
