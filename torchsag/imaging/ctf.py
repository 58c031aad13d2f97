"""The contrast transfer function of an electron microscope."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError


@dataclass(frozen=True)
class Microscope:
    """What the CTF depends on, but for the defocus.

    ``CTF(s) = sin(pi lambda D s^2 - pi/2 Cs lambda^3 s^4 + asin(A) + phase shift)`` with the underfocus D > 0: positive
    at low frequency, for densities in which the particle is bright. The first zero and all others fall where the
    argument is a multiple of pi. Source: Rohou & Grigorieff 2015, J. Struct. Biol. 192:216, equations 2 and 3, sign
    turned.

    Attributes
    ----------
    voltage_kv
        Acceleration voltage, kilovolt.
    spherical_aberration_mm
        Cs, millimetre.
    amplitude_contrast
        Fraction A of amplitude contrast.
    """

    voltage_kv: float = 300.0
    spherical_aberration_mm: float = 2.7
    amplitude_contrast: float = 0.07

    def __post_init__(self):
        if not 10 <= self.voltage_kv <= 3000:
            raise InputError(f"microscope: expected voltage_kv in 10 to 3000 kilovolt, got {self.voltage_kv}")
        if not 0 <= self.spherical_aberration_mm <= 100:
            raise InputError(
                f"microscope: expected spherical_aberration_mm in 0 to 100, got {self.spherical_aberration_mm}"
            )
        if not 0 <= self.amplitude_contrast <= 1:
            raise InputError(f"microscope: expected amplitude_contrast in 0 to 1, got {self.amplitude_contrast}")

    @property
    def wavelength_angstrom(self) -> float:
        """Relativistic wavelength of the electrons, angstrom."""
        volts = 1e3 * self.voltage_kv
        # h / sqrt(2 m e V (1 + e V / 2 m c^2)) with CODATA 2018 constants.
        return 12.2642594 / math.sqrt(volts + 0.978475622e-6 * volts**2)

    def ctf(
        self,
        frequency: Float[Tensor, "*shape"],
        defocus_um: Float[Tensor, "..."] | float,
        phase_shift: Float[Tensor, "..."] | float = 0.0,
    ) -> Float[Tensor, "..."]:
        """Transfer at `frequency` (1/angstrom).

        Parameters
        ----------
        frequency
            Spatial frequency, 1/angstrom.
        defocus_um
            Micrometre, negative for underfocus; a number, or a tensor that broadcasts against `frequency`.
        phase_shift
            Of a phase plate, radians; likewise.
        """
        wavelength = self.wavelength_angstrom
        squared = frequency.square()
        defocus = -1e4 * defocus_um * wavelength * squared
        aberration = -0.5e7 * self.spherical_aberration_mm * wavelength**3 * squared.square()
        return torch.sin(math.pi * (defocus + aberration) + math.asin(self.amplitude_contrast) + phase_shift)
