"""Reading particles by way of what is kept of them (`torchsag.particles.transform_store`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from torchsag.axes import HalfWeights
from torchsag.particles.batch import ParticleBatch
from torchsag.particles.gridded import GriddedParticles
from torchsag.particles.transform_store import TransformStore


@dataclass(frozen=True)
class KeptTransforms:
    """Some particles of a set, kept or to be kept.

    Attributes
    ----------
    store
        Where they are kept.
    rows
        Their rows in the list.
    shared
        The weight of each that shares one with others; None for a particle with a weight of its own, which is kept.
    last_shell
        Nothing beyond it is asked for.
    read
        Reads particles, by their places in `rows`, from their files.
    sphere
        As in `GriddedParticles.of`.
    """

    store: TransformStore
    rows: Sequence[int]
    shared: Sequence[HalfWeights | None]
    last_shell: int
    read: Callable[[list[int]], ParticleBatch]
    sphere: bool = False

    def load(self, kind: Literal["spectra", "gridded"]) -> tuple[Tensor, Tensor, Tensor]:
        """Half-spectra of that kind, the distinct weights, and which weight each particle has.

        What is read now is kept and then taken from the store like the rest, so that results do not depend on whether a
        particle was read before.
        """
        found = [self._kept(kind, place) for place in range(len(self.rows))]
        missing = [place for place, one in enumerate(found) if one is None]
        if missing:
            batch = self.read(missing)
            room = [k for k, place in enumerate(missing) if self.store.keeps(self.rows[place])]
            self._keep(batch.take(room), [missing[k] for k in room])
            for place in missing:
                found[place] = self._kept(kind, place)
            left = [k for k, place in enumerate(missing) if found[place] is None]
            fresh = batch.take(left)
            spectra = fresh.spectra if kind == "spectra" else GriddedParticles.of(fresh, self.sphere).spectra
            for k, place in enumerate(missing[k] for k in left):
                shared = self.shared[place]
                found[place] = (spectra[k], fresh.weights[fresh.weight_index[k]] if shared is None else shared)
        whole = [one for one in found if one is not None]
        weights: dict[int, int] = {}
        index = [weights.setdefault(id(weight), len(weights)) for _, weight in whole]
        distinct = {id(weight): weight for _, weight in whole}
        return torch.stack([half for half, _ in whole]), torch.stack(list(distinct.values())), torch.tensor(index)

    def _kept(self, kind: Literal["spectra", "gridded"], place: int) -> tuple[Tensor, Tensor] | None:
        """Half-spectrum and weight of a particle of which both are there."""
        row, weight = self.rows[place], self.shared[place]
        half = self.store.get(kind, row, self.last_shell)
        if half is not None and weight is None:
            weight = self.store.get("weights", row, self.last_shell)
        return None if half is None or weight is None else (half, weight)

    def _keep(self, batch: ParticleBatch, places: list[int]) -> None:
        """All that is wanted of a particle later, while it is in memory."""
        if not places:
            return
        gridded = GriddedParticles.of(batch, self.sphere)
        for k, place in enumerate(places):
            row = self.rows[place]
            self.store.put("spectra", row, batch.spectra[k])
            self.store.put("gridded", row, gridded.spectra[k])
            if self.shared[place] is None:
                self.store.put("weights", row, batch.weights[batch.weight_index[k]])
