"""Particles' transforms kept between readings, so that the second reading of a particle is that of a few numbers."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

Kind = Literal["spectra", "gridded", "weights"]
"""Canonical transforms, the same of compensated volumes, weights; the last two reach `MARGIN` shells further."""

MARGIN = 4
"""Shells beyond the last that interpolation at it looks at: two samples along each axis, rounded up."""


@runtime_checkable
class TransformStore(Protocol):
    """Keeps half-spectra by particle, out to half the box and its margin; hands them out up to a shell.

    Whatever cannot be kept is read again from its file, so `get` may always return nothing.
    """

    def get(self, kind: Kind, row: int, last_shell: int) -> Tensor | None:
        """The half-spectrum of the particle in a row of the list, zero beyond `last_shell` and the kind's margin."""
        ...

    def keeps(self, row: int) -> bool:
        """Whether there is room for the particle in a row."""
        ...

    def put(self, kind: Kind, row: int, half: Tensor) -> None:
        """Keep a half-spectrum."""
        ...
