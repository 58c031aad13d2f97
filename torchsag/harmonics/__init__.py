"""Spherical harmonics on Fourier shells, Wigner d, correlation over the rotation group."""

from torchsag.harmonics.rotation_grid import EulerGrid
from torchsag.harmonics.rotational_correlation import RotationalCorrelation
from torchsag.harmonics.spherical import ShellSampling, spherical_harmonics
from torchsag.harmonics.wigner import wigner_d

__all__ = ["EulerGrid", "RotationalCorrelation", "ShellSampling", "spherical_harmonics", "wigner_d"]
