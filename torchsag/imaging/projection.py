"""A tilt series of a map, and back: single-axis, tilt axis y, beam z.

Images are kept as their half-spectra, axes ``(tilts, y, kx)``, phase origin at pixel ``n // 2``. The image at tilt a
measures the plane ``k = (u cos a, v, -u sin a)``: an image's x axis lies along ``(cos a, 0, -sin a)`` and the beam
along ``(sin a, 0, cos a)``, the sign of `torchsag.imaging.wedge`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from torchsag.axes import Volumes
from torchsag.fourier import crop, from_half_spectrum, from_spectrum, half_frequencies, phase_ramp
from torchsag.geometry import Poses
from torchsag.geometry.precision import exact_product
from torchsag.keeping import kept_property
from torchsag.spectra.gridding import WIDTH, ContinuousSpectrum, kernel_taps, kernel_transform, padded_size


@dataclass(frozen=True)
class TiltGeometry:
    """Where the images of a tilt series lie in Fourier space.

    Attributes
    ----------
    tilts
        Tilt angles, radians.
    box
        Edge of the (square) images and the (cubic) volume, pixels.
    """

    tilts: Float[Tensor, " tilts"]
    box: int

    @kept_property
    def image_frequencies(self) -> Float[Tensor, "y kx 2"]:
        """Frequencies (u, v) within an image, cycles per pixel."""
        return half_frequencies((1, self.box, self.box), self.tilts.device, self.tilts.dtype)[0, ..., :2]

    @kept_property
    def measured(self) -> Bool[Tensor, "y kx"]:
        """Coefficients inside the Nyquist circle: only these are projected and back-projected."""
        return self.image_frequencies.norm(dim=-1) < 0.5

    @kept_property
    def frequencies(self) -> Float[Tensor, "tilts y kx 3"]:
        """Frequencies (x, y, z) that the images measure in the volume, cycles per voxel."""
        u, v = self.image_frequencies.unbind(-1)
        cos, sin = torch.cos(self.tilts)[:, None, None], torch.sin(self.tilts)[:, None, None]
        return torch.stack([u * cos, v.expand(len(self.tilts), -1, -1), -u * sin], -1)

    def project(self, reference: ContinuousSpectrum, poses: Poses) -> Complex[Tensor, "particles tilts y kx"]:
        """Half-spectra of the images of a map at each pose; differentiable in the map and in the poses."""
        kept = self.frequencies[:, self.measured]
        points = kept.reshape(-1, 3)
        values = reference.at(exact_product(points, poses.rotations)) * phase_ramp(points, poses.shifts)
        images = values.new_zeros(len(poses), len(self.tilts), *self.measured.shape)
        images[..., self.measured] = values.reshape(len(poses), *kept.shape[:2])
        return images

    def back_project(
        self, images: Complex[Tensor, "*batch tilts y kx"], box: int | None = None
    ) -> Float[Tensor, "*batch z y x"]:
        """``V(x) = (1 / n^3) sum_images sum_k I(k) exp(2 pi i k.x)``: the adjoint of `project` over the box's volume.

        Images are taken as already weighted; weights that sum to one in each cell of the Fourier lattice give back the
        density. A larger `box` continues the sum beyond the images' own along z and x.
        """
        size = self.box if box is None else box
        padded = padded_size(size)
        index, weight = self._taps(padded)
        weighted = images * self._multiplicity
        batch = images.shape[:-3]
        samples = weighted.movedim(-2, -1).reshape(-1, index.shape[0], self.box)
        grid = samples.new_zeros(samples.shape[0], padded * padded, self.box)
        for tap in range(index.shape[1]):
            grid = grid.index_add(1, index[:, tap], samples * weight[:, tap, None])
        centred = grid.reshape(-1, padded, padded, self.box).movedim(-1, -2).index_select(-2, self._centred_rows)
        volume = from_spectrum(centred).real * (padded / self.box) ** 2
        volume = crop(volume, (size, self.box, size))
        gain = kernel_transform(padded, volume)[padded // 2 - size // 2 :][:size]
        return (volume / (gain[:, None, None] * gain)).reshape(*batch, size, self.box, size)

    @property
    def _centred_rows(self) -> Tensor:
        """Order that brings an axis in FFT order to one with the zero frequency at n // 2."""
        return (torch.arange(self.box, device=self.tilts.device) - self.box // 2) % self.box

    @property
    def _multiplicity(self) -> Float[Tensor, "y kx"]:
        """Each coefficient stands for itself and its mirror image, except where u = 0."""
        count = 2.0 * self.measured.to(self.tilts.dtype)
        count[..., 0] /= 2
        return count

    def _taps(self, padded: int) -> tuple[Tensor, Tensor]:
        """For each (tilt, u): the points of the padded (kz, kx) plane under the kernel, and its values there."""
        kx, _, kz = self.frequencies[:, 0].reshape(-1, 3).double().unbind(-1)
        steps = torch.arange(WIDTH, device=kx.device)
        (start_z, weight_z), (start_x, weight_x) = (kernel_taps(k * padded + padded // 2) for k in (kz, kx))
        rows, columns = (start_z[:, None] + steps) % padded, (start_x[:, None] + steps) % padded
        index = rows[:, :, None] * padded + columns[:, None, :]
        weight = weight_z[:, :, None] * weight_x[:, None, :]
        return index.flatten(1), weight.flatten(1).to(self.tilts.dtype)


def to_images(spectra: Complex[Tensor, "*batch y kx"], box: int) -> Float[Tensor, "*batch y x"]:
    """Real images from their half-spectra."""
    return from_half_spectrum(spectra.unsqueeze(-3), (1, box, box)).squeeze(-3)


def project(volume: Float[Tensor, "n n n"], poses: Poses, tilts: Float[Tensor, " tilts"]) -> Volumes:
    """Images ``[particles, tilts, y, x]`` of a volume at poses; differentiable in volume and poses."""
    geometry = TiltGeometry(tilts.to(volume.dtype), volume.shape[-1])
    return to_images(geometry.project(ContinuousSpectrum.of(volume), poses), volume.shape[-1])
