"""What several tilt series, or a list of tilts, measured of a particle."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Box, HalfWeights
from torchsag.fourier import half_frequencies
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.dose import remaining_signal
from torchsag.imaging.wedge import missing_wedge
from torchsag.particles.sources import Tilt, TiltScheme


def scheme_weight(box: Box, voxel_size: float, scheme: TiltScheme) -> HalfWeights:
    """Transfer of each Fourier coefficient, 0 to 1.

    A tilt range gives 1 inside its wedge. A single image measures its plane through the origin, which the size of the
    box makes one Fourier voxel thick: ``s(d) = max(0, 1 - d)`` at d voxels from it. Where planes overlap the transfer
    is the mean of theirs, as a reconstruction weighted by sampling has it:
    ``sum_i s(d_i) |CTF_i| D_i / max(1, sum_i s(d_i))`` with the signal D_i that the exposure left. Phases count as
    flipped.
    """
    weight = torch.zeros(box[0], box[1], box[2] // 2 + 1)
    for one in scheme.ranges:
        weight = torch.maximum(weight, missing_wedge(box, one.tilt_min_deg, one.tilt_max_deg, axis_deg=one.axis_deg))
    if scheme.tilts:
        frequencies = half_frequencies(box, dtype=torch.float64)
        radius = frequencies.norm(dim=-1) / voxel_size
        signal, cover = torch.zeros_like(radius), torch.zeros_like(radius)
        for tilt in scheme.tilts:
            near = (1 - max(box) * _distance(frequencies, tilt)).clamp_min(0)
            cover += near
            signal += near * _transfer(radius, tilt, scheme.microscope)
        weight = torch.maximum(weight, (signal / cover.clamp_min(1)).float())
    return weight


def _distance(frequencies: Float[Tensor, "z y kx 3"], tilt: Tilt) -> Float[Tensor, "z y kx"]:
    """From the plane ``k_z = -k_x tan(a)`` of the image, cycles per voxel; the highest frequency has either sign."""
    angle, turn = math.radians(tilt.angle_deg), math.radians(tilt.axis_deg)
    kx, ky, kz = frequencies.unbind(-1)
    first = (kz * math.cos(angle) + (kx * math.cos(turn) + ky * math.sin(turn)) * math.sin(angle)).abs()
    mirrored = (kz * math.cos(angle) + (-kx * math.cos(turn) + ky * math.sin(turn)) * math.sin(angle)).abs()
    return torch.where(kx.abs() == 0.5, torch.minimum(first, mirrored), first)


def _transfer(radius: Float[Tensor, "z y kx"], tilt: Tilt, microscope: Microscope) -> Float[Tensor, "z y kx"]:
    transfer = torch.ones_like(radius)
    if tilt.underfocus_um is not None:
        transfer = microscope.ctf(radius, -tilt.underfocus_um).abs()
    if tilt.exposure is not None:
        transfer = transfer * remaining_signal(radius, tilt.exposure, microscope.voltage_kv)
    return transfer
