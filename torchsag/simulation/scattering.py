"""How atoms scatter electrons, and what "resolution" means for the Gaussian that blurs them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import gemmi
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError


@runtime_checkable
class Scattering(Protocol):
    """What one atom of an element contributes."""

    def form_factor(self, element: gemmi.Element) -> Float[Tensor, "gaussians 2"]:
        """Rows (a, b) of ``f(s) = sum a exp(-b s^2)``, s = 1/d in 1/angstrom (see `PointModel`)."""
        ...


@dataclass(frozen=True)
class ElectronScattering:
    """Electron scattering factors of neutral atoms: five Gaussians per element.

    Source: International Tables for Crystallography C (2004), table 4.3.2.2 (Peng et al. 1996), as kept by gemmi. The
    table is in ``(sin(theta) / lambda)^2 = s^2 / 4``.
    """

    def form_factor(self, element: gemmi.Element) -> Float[Tensor, "gaussians 2"]:
        """Five rows."""
        coefficients = element.c4322
        rows = [[a, b / 4] for a, b in zip(coefficients.a, coefficients.b, strict=True)]
        return torch.tensor(rows, dtype=torch.float64)


@dataclass(frozen=True)
class AtomicNumber:
    """Points of the mass Z, as programs that place one Gaussian at each atom have it."""

    def form_factor(self, element: gemmi.Element) -> Float[Tensor, "gaussians 2"]:
        """One row; the others are zero so that tables of both kinds have one shape."""
        rows = torch.zeros(5, 2, dtype=torch.float64)
        rows[0, 0] = element.atomic_number
        return rows


@runtime_checkable
class Kernel(Protocol):
    """The Gaussian that stands for a stated resolution."""

    @property
    def sigma_angstrom(self) -> float:
        """Standard deviation along each axis, angstrom."""
        ...


@dataclass(frozen=True)
class FourierKernel:
    """The transform falls to 1/e at 1/resolution: ``sigma = resolution / (pi sqrt(2))`` (EMAN, molmap).

    Attributes
    ----------
    resolution_angstrom
        Stated resolution; 0 for no blur.
    """

    resolution_angstrom: float = 6.0

    def __post_init__(self):
        _check_resolution(self.resolution_angstrom)

    @property
    def sigma_angstrom(self) -> float:
        """Standard deviation along each axis, angstrom."""
        return self.resolution_angstrom / (math.pi * math.sqrt(2))


@dataclass(frozen=True)
class SitusKernel:
    """Situs pdb2vol's convention: resolution is twice the three-dimensional standard deviation of the kernel.

    The kernel is ``exp(-3 r^2 / (2 s^2))`` with ``s = resolution / 2``, so ``sigma = resolution / (2 sqrt(3))`` along
    each axis. Source: Wriggers 2012, Acta Cryst. D68:344. Situs also corrects for the width of its trilinear placing of
    atoms, which has no counterpart here: atoms lie where they are.

    Attributes
    ----------
    resolution_angstrom
        Stated resolution; 0 for no blur.
    """

    resolution_angstrom: float = 6.0

    def __post_init__(self):
        _check_resolution(self.resolution_angstrom)

    @property
    def sigma_angstrom(self) -> float:
        """Standard deviation along each axis, angstrom."""
        return self.resolution_angstrom / (2 * math.sqrt(3))


def _check_resolution(resolution: float) -> None:
    if not 0 <= resolution < 1000:
        raise InputError(f"resolution_angstrom: expected 0 to 1000, got {resolution}")
