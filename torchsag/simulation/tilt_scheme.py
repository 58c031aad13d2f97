"""Which images a tilt series consists of, and in which order they were taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from torchsag.errors import InputError


@runtime_checkable
class TiltScheme(Protocol):
    """A tilt series' plan; all properties have one entry per image."""

    @property
    def angles_deg(self) -> list[float]:
        """Tilt angles, degrees."""
        ...

    @property
    def exposures(self) -> list[float]:
        """Electrons per square angstrom that the sample has seen at the middle of each image."""
        ...

    @property
    def defocus_offsets_um(self) -> list[float]:
        """Added to the nominal defocus of each image, micrometre."""
        ...


@dataclass(frozen=True)
class RegularTilts:
    """Equal steps, taken in order of growing tilt on both sides (dose-symmetric).

    Attributes
    ----------
    tilt_max_deg
        Last tilt angle, degrees.
    tilt_min_deg
        First tilt angle; None for ``-tilt_max_deg``.
    step_deg
        Between images, degrees.
    dose_per_image
        Electrons per square angstrom; 0 for no radiation damage.
    """

    tilt_max_deg: float = 60.0
    tilt_min_deg: float | None = None
    step_deg: float = 1.0
    dose_per_image: float = 0.0

    def __post_init__(self):
        if not self.step_deg > 0:
            raise InputError(f"tilts: expected step_deg above 0, got {self.step_deg}")
        if not self.dose_per_image >= 0:
            raise InputError(f"tilts: expected dose_per_image >= 0, got {self.dose_per_image}")
        _check_range(self.first_deg, self.tilt_max_deg)

    @property
    def first_deg(self) -> float:
        """First tilt angle, degrees."""
        return -self.tilt_max_deg if self.tilt_min_deg is None else self.tilt_min_deg

    @property
    def angles_deg(self) -> list[float]:
        """Tilt angles, degrees."""
        count = int((self.tilt_max_deg - self.first_deg) / self.step_deg + 1e-6) + 1
        return [self.first_deg + i * self.step_deg for i in range(count)]

    @property
    def exposures(self) -> list[float]:
        """Accumulated exposure at the middle of each image."""
        order = np.argsort(np.abs(self.angles_deg), kind="stable")
        rank = np.empty(len(order))
        rank[order] = np.arange(len(order))
        return ((rank + 0.5) * self.dose_per_image).tolist()

    @property
    def defocus_offsets_um(self) -> list[float]:
        """No offsets."""
        return [0.0] * len(self.angles_deg)


@dataclass(frozen=True)
class ListedTilts:
    """Any list of images, in the order they were taken.

    Attributes
    ----------
    tilts_deg
        Tilt angles, degrees.
    doses
        Electrons per square angstrom of each image; None for no radiation damage.
    offsets_um
        Added to the nominal defocus of each image, micrometre; None for none.
    """

    tilts_deg: Sequence[float]
    doses: Sequence[float] | None = None
    offsets_um: Sequence[float] | None = None

    def __post_init__(self):
        for name in ("tilts_deg", "doses", "offsets_um"):
            values = getattr(self, name)
            if values is None:
                continue
            if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
                raise InputError(f"tilts: expected finite numbers in {name}, got {list(values)}")
            if len(values) != len(self.tilts_deg):
                raise InputError(f"tilts: expected {len(self.tilts_deg)} {name}, one per angle, got {len(values)}")
        if len(self.tilts_deg) < 2:
            raise InputError(f"tilts: expected at least two tilt angles, got {list(self.tilts_deg)}")
        _check_range(min(self.tilts_deg), max(self.tilts_deg))
        if self.doses is not None and min(self.doses) < 0:
            raise InputError(f"tilts: expected doses of at least 0, got {list(self.doses)}")

    @property
    def angles_deg(self) -> list[float]:
        """Tilt angles, degrees."""
        return list(self.tilts_deg)

    @property
    def exposures(self) -> list[float]:
        """Accumulated exposure at the middle of each image."""
        doses = np.asarray(self.doses if self.doses is not None else [0.0] * len(self.tilts_deg))
        return (doses.cumsum() - doses / 2).tolist()

    @property
    def defocus_offsets_um(self) -> list[float]:
        """The offsets as given."""
        return list(self.offsets_um) if self.offsets_um is not None else [0.0] * len(self.tilts_deg)


def _check_range(low: float, high: float) -> None:
    if not -90 <= low < high <= 90:
        raise InputError(
            f"tilt range: expected angles from -90 to 90 degrees, the first below the last, got {low:g} to {high:g}"
        )
