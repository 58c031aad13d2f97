"""Particles that are stored as the images of a tilt series, and the volumes they add up to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import HalfWeights, Volumes
from torchsag.errors import InputError
from torchsag.imaging.tilt_images import ImageOptics, matched_sum
from torchsag.particles.weighting import WeightAction


@dataclass(frozen=True, eq=False)
class TiltStack:
    """The images of one particle in one file.

    Attributes
    ----------
    path
        The file.
    sections
        Which of its sections, from zero, one for each image that is used.
    frames
        Rows: the directions of each image's x and y axes and of the beam in the particle's box.
    optics
        What each image passes on of the signal.
    premultiplied
        Whether the images are multiplied by that already.
    voxel_size
        Angstrom per pixel.
    """

    path: Path
    sections: tuple[int, ...]
    frames: Float[Tensor, "tilts 3 3"]
    optics: ImageOptics
    premultiplied: bool
    voxel_size: float

    def __str__(self) -> str:
        return str(self.path)

    def assemble(self, images: Float[Tensor, "tilts y x"]) -> Assembled:
        """The volume and the weight that the images add up to (see `torchsag.imaging.tilt_images`).

        Raises
        ------
        InputError
            If there are not as many images as the list says, or nothing can be seen in them.
        """
        if len(images) != len(self.sections):
            raise InputError(f"{self.path}: expected {len(self.sections)} images, got {len(images)}")
        transfer = self.optics.transfer(images.shape[-1], self.voxel_size).to(images)
        volume, weight, noise = matched_sum(images, transfer, self.frames.to(images), self.premultiplied)
        if not weight.max() > 0:
            raise InputError(f"{self.path}: expected images that pass on some signal, got a transfer of zero in all")
        return Assembled(volume, weight, noise)

    def digest(self) -> str:
        """What the volume follows from, but for the file's contents."""
        optics = self.optics
        tensors = (self.frames, *(getattr(optics, field.name) for field in fields(optics)[1:]))
        mark = f"{self.path}|{self.sections}|{optics.microscope}|{self.premultiplied}|{self.voxel_size}"
        return hashlib.sha256(mark.encode() + b"".join(t.numpy().tobytes() for t in tensors)).hexdigest()


@dataclass(frozen=True)
class Assembled:
    """What the images of one particle add up to.

    Attributes
    ----------
    volume
        Their matched sum, in real space.
    weight
        The sum of their squared transfers, half-spectrum layout.
    noise
        Power of the noise for images whose noise has power one, not below `weight`.
    """

    volume: Volumes
    weight: HalfWeights
    noise: HalfWeights

    def action(self) -> WeightAction:
        """What brings the volume to white noise; nothing counts as measured where the weight is zero."""
        measured = self.weight > 0
        factor = torch.where(measured, self.noise.clamp_min(1e-30).rsqrt(), 0)
        return WeightAction(factor, self.weight * factor)


@runtime_checkable
class AssemblyStore(Protocol):
    """Keeps assembled volumes so that a particle that is read again does not have to be assembled again."""

    def get(self, stack: TiltStack) -> Assembled | None:
        """What is kept of a stack, if anything."""
        ...

    def put(self, stack: TiltStack, assembled: Assembled) -> None:
        """Keep a stack's volume and weight."""
        ...
