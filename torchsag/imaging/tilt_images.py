"""The images of a tilt series as measurements of one volume: where each lies in Fourier space, what it passes on.

An image's transform at (u, v) is the volume's at ``k = u x_i + v y_i``, with x_i and y_i the directions of the image's
axes in the volume's frame. Many images say of a volume what their *matched sum* says,
``V(k) = sum_j c_j I_j D(k - k_j)`` with ``w(k) = sum_j c_j^2 D(k - k_j)``: c_j is what the image passes on of the
signal, D the transform of the box (`torchsag.spectra.scatter`). V is then ``w P`` and noise of power w, a volume that
was multiplied by its CTF with w as the sum of CTF^2 (`torchsag.particles.weighting.Premultiplied`).

That the noise has power w holds where the images lie closely; between images more than a Fourier voxel apart it is
less, by as much as neighbouring coefficients say the same. So ``sum_k w |P|^2`` counts each image once either way.
Where the transfer is small, near the zeros of the CTF and beside the last image, it is more: noise of the neighbours
leaks in, ``u(k) = sum_j c_j^2 |D(k - k_j)|^2`` instead of w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import HalfWeights, Volumes
from torchsag.fourier import half_frequencies, to_half_spectrum
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.dose import remaining_signal
from torchsag.spectra.matched_scatter import back_project_matched


@dataclass(frozen=True, eq=False)
class ImageOptics:
    """What images pass on of the signal, one entry per image.

    Attributes
    ----------
    microscope
        Voltage, aberration, amplitude contrast.
    defocus_um
        Along and across the direction of `astigmatism`, micrometre, negative for underfocus.
    astigmatism
        Direction of the first defocus, from the image's x axis towards y, radians.
    phase_shift
        Of a phase plate, radians.
    scale
        Factor on the amplitude at all frequencies.
    b_factor
        Fall-off ``exp(-B s^2 / 4)``, square angstrom.
    exposure
        Electrons per square angstrom before the image, for `remaining_signal`.
    """

    microscope: Microscope
    defocus_um: Float[Tensor, "tilts 2"]
    astigmatism: Float[Tensor, " tilts"]
    phase_shift: Float[Tensor, " tilts"]
    scale: Float[Tensor, " tilts"]
    b_factor: Float[Tensor, " tilts"]
    exposure: Float[Tensor, " tilts"]

    def __getitem__(self, images: Sequence[int]) -> ImageOptics:
        """Of some of the images."""
        pick = torch.as_tensor(images)
        picked = {field.name: getattr(self, field.name)[pick] for field in fields(self) if field.name != "microscope"}
        return ImageOptics(self.microscope, **picked)

    def transfer(self, box: int, voxel_size: float) -> Float[Tensor, "tilts y kx"]:
        """Transfer of each image in half-spectrum layout, for pixels of `voxel_size` angstrom."""
        frequency = half_frequencies((1, box, box), self.scale.device, self.scale.dtype)[0, ..., :2] / voxel_size
        radius = frequency.norm(dim=-1)
        azimuth = torch.atan2(frequency[..., 1], frequency[..., 0])
        along, across = self.defocus_um[:, :, None, None].unbind(1)
        turn = torch.cos(2 * (azimuth - self.astigmatism[:, None, None]))
        defocus = (along + across) / 2 + (along - across) / 2 * turn
        ctf = self.microscope.ctf(radius, defocus, self.phase_shift[:, None, None])
        envelope = torch.exp(-self.b_factor[:, None, None] / 4 * radius.square())
        # RELION and Warp take the critical exposure at 300 kV whatever the voltage.
        return ctf * envelope * remaining_signal(radius, self.exposure[:, None, None]) * self.scale[:, None, None]


def matched_sum(
    images: Float[Tensor, "tilts y x"],
    transfer: Float[Tensor, "tilts y kx"],
    frames: Float[Tensor, "tilts 3 3"],
    premultiplied: bool,
) -> tuple[Volumes, HalfWeights, HalfWeights]:
    """The volume, the weight and the power of the noise that images of one particle add up to.

    Parameters
    ----------
    images
        Square images, centred on the particle.
    transfer
        What each passes on of the signal, half-spectrum layout.
    frames
        Rows: the directions of an image's x and y axes and of the beam in the volume's frame.
    premultiplied
        Whether the images are multiplied by their transfer already.

    Returns
    -------
    V in real space; w and the power of its noise, the larger of w and u, in half-spectrum layout, w negative nowhere.
    """
    n = images.shape[-1]
    spectra = to_half_spectrum(images.unsqueeze(-3)).squeeze(-3)
    inside, points = _samples(frames, n)
    power = transfer.square()[:, inside]
    signal = spectra[:, inside] * (1 if premultiplied else transfer[:, inside])
    # Half of each image stands for all of it; but u = 0 is listed with both signs of v.
    once = torch.where(half_frequencies((1, n, n), images.device)[0, ..., 0][inside] == 0, 0.5, 1.0)
    parts = (signal * once).flatten(), (power * once).flatten()
    volume, response = back_project_matched(*parts, points.reshape(-1, 3), (n, n, n))
    weight = to_half_spectrum(response).real.clamp_min(0)
    return volume, weight, torch.maximum(weight, to_half_spectrum(response * _overlap(response)).real)


def _overlap(box: Volumes) -> Volumes:
    """How far the box overlaps itself, by distance within the box; its transform is ``|D|^2`` but for ripples."""
    n = box.shape[-1]
    along = 1 - (torch.arange(n, device=box.device, dtype=box.dtype) - n // 2).abs() / n
    return along[:, None, None] * along[:, None] * along


def _samples(frames: Float[Tensor, "tilts 3 3"], n: int) -> tuple[Tensor, Float[Tensor, "tilts points 3"]]:
    """Which coefficients lie inside the Nyquist circle, and where those of each image lie in the volume."""
    plane = half_frequencies((1, n, n), frames.device, frames.dtype)[0, ..., :2]
    inside = plane.norm(dim=-1) < 0.5
    return inside, torch.einsum("pa,tac->tpc", plane[inside], frames[:, :2])
