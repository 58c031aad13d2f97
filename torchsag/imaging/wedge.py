"""The missing wedge of a single-axis tilt series: tilt axis y, beam z."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import half_frequencies


def missing_wedge(
    box: tuple[int, int, int],
    tilt_min_deg: float,
    tilt_max_deg: float,
    device: torch.device | str | None = None,
) -> Float[Tensor, "z y kx"]:
    """Binary weight that keeps what tilts in ``[tilt_min_deg, tilt_max_deg]`` measure, half-spectrum layout.

    The image at tilt a measures the plane ``k_z = -k_x tan(a)``: the sign of tilt angles as IMOD and RELION list them,
    seen in weight volumes of real particles. So the kept region is
    ``-k_x tan(tilt_max) <= k_z <= -k_x tan(tilt_min)`` for ``k_x >= 0`` and its mirror image through the origin.

    Raises
    ------
    InputError
        Unless ``-90 <= tilt_min_deg < tilt_max_deg <= 90``.
    """
    if not -90 <= tilt_min_deg < tilt_max_deg <= 90:
        raise InputError(
            f"tilt range: expected -90 <= tilt_min_deg < tilt_max_deg <= 90, got {tilt_min_deg} to {tilt_max_deg}"
        )
    kx, _, kz = half_frequencies(box, device=device, dtype=torch.float64).unbind(-1)
    low, high = math.radians(-tilt_max_deg), math.radians(-tilt_min_deg)
    # Half-planes through the origin written without tan(), which is infinite at 90 degrees.
    slack = 1e-9
    above = kz * math.cos(low) >= kx * math.sin(low) - slack
    under = kz * math.cos(high) <= kx * math.sin(high) + slack
    wedge = (above & under).float()
    # The half-spectrum's own sign is a matter of layout where kx = 0 or, in even boxes, kx = n/2 (x is its own mirror).
    if box[2] % 2 == 0:
        mirrored_above = kz * math.cos(low) <= -kx * math.sin(low) + slack
        mirrored_under = kz * math.cos(high) >= -kx * math.sin(high) - slack
        wedge[..., -1] = torch.maximum(wedge[..., -1], (mirrored_above & mirrored_under).float()[..., -1])
    return wedge
