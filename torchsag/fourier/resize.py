"""Crop and pad about the box centre, in real space and in Fourier space; resample to another voxel size."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.axes import Box, HalfSpectra, Volumes
from torchsag.errors import InputError
from torchsag.fourier.transforms import from_half_spectrum, to_half_spectrum

ResizedVolumes = Float[Tensor, "*batch new_z new_y new_x"]
ResizedSpectra = Complex[Tensor, "*batch new_z new_y new_kx"]


def _centred_start(outer: int, inner: int) -> int:
    return outer // 2 - inner // 2


def crop(volume: Volumes, box: Box) -> ResizedVolumes:
    """Cut the central `box` (z, y, x) out of a volume; the box centre stays the box centre, odd or even."""
    for outer, inner in zip(volume.shape[-3:], box, strict=True):
        if inner > outer:
            raise InputError(f"crop: expected a box of at most {tuple(volume.shape[-3:])} voxels, got {box}")
    slices = [
        slice(_centred_start(o, i), _centred_start(o, i) + i) for o, i in zip(volume.shape[-3:], box, strict=True)
    ]
    return volume[..., slices[0], slices[1], slices[2]]


def pad(volume: Volumes, box: Box, value: float = 0.0) -> ResizedVolumes:
    """Surround a volume with `value` up to `box`; the box centre stays the box centre, odd or even."""
    widths: list[int] = []
    for inner, outer in zip(volume.shape[-3:], box, strict=True):
        if inner > outer:
            raise InputError(f"pad: expected a box of at least {tuple(volume.shape[-3:])} voxels, got {box}")
        before = _centred_start(outer, inner)
        widths = [before, outer - inner - before, *widths]
    return torch.nn.functional.pad(volume, widths, value=value)


def crop_spectrum(spectrum: HalfSpectra, full: Box, box: Box) -> ResizedSpectra:
    """Keep the low frequencies of a half-spectrum of a `full` box that a smaller `box` can hold.

    The frequencies at exactly half the new sampling rate are dropped in even boxes, so that the result is the
    transform of a real volume whatever the parity.
    """
    for old, new in zip(full, box, strict=True):
        if new > old:
            raise InputError(f"crop_spectrum: expected a box of at most {full}, got {box}")
    kz = _low_frequencies(full[0], box[0]).to(spectrum.device)
    ky = _low_frequencies(full[1], box[1]).to(spectrum.device)
    low = spectrum.index_select(-3, kz).index_select(-2, ky)[..., : box[2] // 2 + 1].clone()
    for axis, (old, new) in zip((-3, -2), zip(full[:2], box[:2], strict=True), strict=True):
        if new < old and new % 2 == 0:
            low.select(axis, new // 2).zero_()
    if box[2] < full[2] and box[2] % 2 == 0:
        low[..., -1] = 0
    return low


def pad_spectrum(spectrum: HalfSpectra, small: Box, box: Box) -> ResizedSpectra:
    """Surround the half-spectrum of a `small` box with zeros up to that of a larger `box`.

    A coefficient at exactly half the old sampling rate (even boxes) stands for both signs of its frequency and is
    shared between them, so that the padded spectrum is again that of a real volume.
    """
    for old, new in zip(small, box, strict=True):
        if new < old:
            raise InputError(f"pad_spectrum: expected a box of at least {small}, got {box}")
    padded = spectrum
    for axis, old, new in ((-3, small[0], box[0]), (-2, small[1], box[1])):
        padded = _pad_whole_axis(padded, axis, old, new)
    if box[2] == small[2]:
        return padded
    if small[2] % 2 == 0:
        padded = torch.cat([padded[..., :-1], padded[..., -1:] / 2], -1)
    return torch.nn.functional.pad(padded, (0, box[2] // 2 - small[2] // 2))


def _pad_whole_axis(spectrum: torch.Tensor, axis: int, old: int, new: int) -> torch.Tensor:
    if new == old:
        return spectrum
    positive, negative = spectrum.split([(old + 1) // 2, old // 2], axis)
    if old % 2 == 0:
        edge, rest = negative.split([1, old // 2 - 1], axis)
        positive, negative = torch.cat([positive, edge / 2], axis), torch.cat([edge / 2, rest], axis)
    shape = list(spectrum.shape)
    shape[axis] = new - positive.shape[axis] - negative.shape[axis]
    return torch.cat([positive, spectrum.new_zeros(shape), negative], axis)


def _low_frequencies(old: int, new: int) -> torch.Tensor:
    return torch.fft.ifftshift(torch.arange(new) - new // 2) % old


def resample(volume: Volumes, box: Box) -> ResizedVolumes:
    """Band-limit a volume to a coarser grid of `box` voxels over the same extent, preserving its values.

    The voxel size grows by ``n_old / n_new`` per axis. The centre of the box stays the centre: the transform's phase
    origin is the box centre in both.
    """
    full: Box = (volume.shape[-3], volume.shape[-2], volume.shape[-1])
    scale = (box[0] * box[1] * box[2]) / (full[0] * full[1] * full[2])
    return from_half_spectrum(crop_spectrum(to_half_spectrum(volume), full, box) * scale, box)
