"""Rotations that only permute the band's coefficients: what a particle shows after one needs no work of its own.

A *turn* here is a rotation l of the common symmetry that maps the grid of frequencies onto itself, such as half a turn
about an axis of the box. What is known at all ``r q`` is known at all ``r l q`` too: the same numbers in another order,
``q`` and ``-q`` being conjugates. So of the group's rotations one ``r`` of each coset ``r L`` is enough. That holds
under a mask, too, if the mask looks the same after a turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Integer
from torch import Tensor

from torchsag.geometry import Symmetry
from torchsag.spectra.fourier_band import FourierBand

_ROUNDING = 1e-5  # of the largest value; of a rotation's entry


@dataclass(frozen=True)
class SharedTurns:
    """What has to be looked at of all rotations of a group, and where else it serves.

    Attributes
    ----------
    rotations
        One of each coset ``r L``.
    mates
        Of which mate each rotation ``r l`` is.
    count
        Number of mates.
    places, mirrored
        From `turned_places`, of each l.
    """

    rotations: Float[Tensor, "rotations 3 3"]
    mates: Integer[Tensor, "rotations turns"]
    count: int
    places: Integer[Tensor, "turns coefficients"]
    mirrored: Bool[Tensor, "turns coefficients"]

    @staticmethod
    def under(
        common: Symmetry,
        symmetry: Symmetry,
        mates: Float[Tensor, "mates 3 3"],
        band: FourierBand,
        average: Complex[Tensor, " coefficients"],
        mask: Float[Tensor, "n n n"] | None,
    ) -> SharedTurns:
        """For all ``mate @ operation``, by the turns that leave average and mask as they are.

        Parameters
        ----------
        common, symmetry, mates
            Symmetry of the average, of the classes, and from `torchsag.classification.mates.symmetry_mates`.
        band, average
            Coefficients of the average.
        mask
            In any box.
        """
        kept = [
            turn
            for turn in grid_turns(common)
            if keeps_average(turn, band, average) and (mask is None or keeps_mask(turn, mask))
        ]
        turns = torch.stack(kept)
        if not is_group(turns):
            turns = torch.eye(3, dtype=torch.long)[None]
        return SharedTurns.of(symmetry, mates, band, turns)

    @staticmethod
    def of(
        symmetry: Symmetry, mates: Float[Tensor, "mates 3 3"], band: FourierBand, turns: Integer[Tensor, "turns 3 3"]
    ) -> SharedTurns:
        """Likewise by these turns: a group, of which each is some ``mate @ operation``."""
        operations = symmetry.rotations
        group = (mates.double().cpu()[:, None] @ operations).flatten(0, 1)
        left, chosen, owners = set(range(len(group))), [], []
        while left:
            first = min(left)
            coset = group[first] @ turns.double()
            at = (group[None] - coset[:, None]).abs().amax((2, 3)).argmin(1)
            left -= set(at.tolist())
            chosen.append(first)
            owners.append(at // len(operations))
        places, mirrored = zip(*(turned_places(turn, band) for turn in turns), strict=True)
        where = torch.stack(owners).to(mates.device)
        return SharedTurns(group[chosen].to(mates), where, len(mates), torch.stack(places), torch.stack(mirrored))

    def summed(self, values: Tensor) -> Tensor:
        """Of values ``[particles, rotations, coefficients]`` the sums over each mate's rotations, in place of those."""
        total = values.new_zeros(len(values), self.count, values.shape[2])
        for owners, places, mirrored in zip(self.mates.T, self.places, self.mirrored, strict=True):
            part = torch.zeros_like(total).index_add_(1, owners, values).index_select(2, places)
            total += torch.where(mirrored, part.conj(), part)
        return total

    def totals(self, values: Float[Tensor, "particles rotations"]) -> Float[Tensor, "particles mates"]:
        """Likewise of what is summed over the whole band, where the order of coefficients does not count."""
        total = values.new_zeros(len(values), self.count)
        for owners in self.mates.T:
            total.index_add_(1, owners, values)
        return total


def grid_turns(symmetry: Symmetry) -> Integer[Tensor, "turns 3 3"]:
    """Rotations of a group that map the grid onto itself; the identity is one."""
    rounded = symmetry.rotations.round()
    return rounded[(symmetry.rotations - rounded).abs().amax((1, 2)) < _ROUNDING].long()


def turned_places(
    turn: Integer[Tensor, "3 3"], band: FourierBand
) -> tuple[Integer[Tensor, " coefficients"], Bool[Tensor, " coefficients"]]:
    """Where in the band ``l q`` or ``-l q`` lies, and whether it is the latter."""
    # A number for each frequency that changes its sign with it.
    edge = 2 * band.max_shell + 1
    digits = torch.tensor([1, edge, edge**2], device=band.frequencies.device)
    numbers = (band.frequencies * digits).sum(1)
    wanted = (band.frequencies * (turn.T.to(digits) * digits).sum(1)).sum(1)
    both, order = torch.cat([numbers, -numbers]).sort()
    found = order[torch.searchsorted(both, wanted)]
    return found % len(numbers), found >= len(numbers)


def keeps_average(turn: Integer[Tensor, "3 3"], band: FourierBand, average: Complex[Tensor, " coefficients"]) -> bool:
    """Whether a map with these coefficients looks the same after a turn, to rounding."""
    places, mirrored = turned_places(turn, band)
    moved = torch.where(mirrored, average[places].conj(), average[places])
    return bool((moved - average).abs().max() <= _ROUNDING * average.abs().max())


def keeps_mask(turn: Integer[Tensor, "3 3"], mask: Float[Tensor, "n n n"]) -> bool:
    """Whether a volume that goes on periodically looks the same after a turn about its centre, to rounding."""
    n = len(mask)
    axis = torch.arange(n) - n // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    points = torch.stack([x, y, z], -1)
    x, y, z = ((points[..., None, :] * turn).sum(-1) + n // 2).remainder(n).to(mask.device).unbind(-1)
    return bool((mask[z, y, x] - mask).abs().max() <= _ROUNDING * mask.abs().max())


def is_group(turns: Integer[Tensor, "turns 3 3"]) -> bool:
    """Of finitely many rotations those are a group whose products are among them."""
    products = (turns[:, None] @ turns).flatten(0, 1)
    return all(bool((turns == product).all((1, 2)).any()) for product in products)
