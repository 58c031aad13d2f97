"""Place a map at poses, accurately: for making data, where the error must stay far below the noise."""

from jaxtyping import Complex
from torch import Tensor

from torchsag.fourier import half_frequencies, phase_ramp
from torchsag.geometry import Poses
from torchsag.geometry.precision import exact_product
from torchsag.spectra.gridding import ContinuousSpectrum


def place_spectrum(reference: ContinuousSpectrum, poses: Poses) -> Complex[Tensor, "particles z y kx"]:
    """Half-spectra ``exp(-2 pi i k.t) G(R^T k)`` of the reference at each pose, in the reference's box.

    Only frequencies inside the Nyquist sphere are kept: a corner of the Fourier box has no counterpart after a
    rotation. What lies outside the largest sphere in the box, or is shifted over its border, comes back in on the other
    side, as in any finite transform.
    """
    frequencies = half_frequencies(reference.box, poses.rotations.device, poses.rotations.dtype)
    inside = frequencies.norm(dim=-1) < 0.5
    kept = frequencies[inside]
    # Row vectors: (R^T k)^T = k^T R.
    values = reference.at(exact_product(kept, poses.rotations)) * phase_ramp(kept, poses.shifts)
    z, y, kx = inside.shape
    spectrum = values.new_zeros(len(poses), z * y * kx)
    return spectrum.index_copy(1, inside.flatten().nonzero()[:, 0], values).reshape(len(poses), z, y, kx)
