"""Particles at poses to half-maps and maps."""

from torchsag.averaging.reconstruct import MapSums

__all__ = ["MapSums"]
