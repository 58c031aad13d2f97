"""The missing wedge of a single-axis tilt series: beam z, tilt axis y or turned from y in the plane of the specimen."""

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
    axis_deg: float = 0.0,
) -> Float[Tensor, "z y kx"]:
    """Binary weight that keeps what tilts in ``[tilt_min_deg, tilt_max_deg]`` measure, half-spectrum layout.

    The image at tilt a measures the plane ``k_z = -k_x tan(a)``: the sign of tilt angles as IMOD and RELION list them,
    seen in weight volumes of real particles. So the kept region is
    ``-k_x tan(tilt_max) <= k_z <= -k_x tan(tilt_min)`` for ``k_x >= 0`` and its mirror image through the origin. With
    another tilt axis, `axis_deg` from y and counterclockwise seen from +z, the whole region is turned by that angle
    about z.

    Raises
    ------
    InputError
        Unless ``-90 <= tilt_min_deg < tilt_max_deg <= 90``.
    """
    if not -90 <= tilt_min_deg < tilt_max_deg <= 90:
        raise InputError(
            f"tilt range: expected -90 <= tilt_min_deg < tilt_max_deg <= 90, got {tilt_min_deg} to {tilt_max_deg}"
        )
    if axis_deg % 180:
        return _turned_wedge(box, tilt_min_deg, tilt_max_deg, axis_deg, device)
    if axis_deg % 360:  # the same axis in the other direction
        tilt_min_deg, tilt_max_deg = -tilt_max_deg, -tilt_min_deg
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


def _turned_wedge(
    box: tuple[int, int, int],
    tilt_min_deg: float,
    tilt_max_deg: float,
    axis_deg: float,
    device: torch.device | str | None,
) -> Float[Tensor, "z y kx"]:
    """The wedge about any axis in the plane: a coefficient is kept where its angle to the untilted plane was measured.

    At the highest frequency of an even axis either sign may be meant; what one of them measures counts.
    """
    frequencies = half_frequencies(box, device=device, dtype=torch.float64)
    turn, slack = math.radians(axis_deg), 1e-9
    kept = torch.zeros(frequencies.shape[:-1], dtype=torch.bool, device=frequencies.device)
    edge_x, edge_y = (frequencies[..., k].abs() == 0.5 for k in (0, 1))
    for sign_x, sign_y in ((1, 1), (-1, 1), (1, -1)):
        kx = torch.where(edge_x, sign_x * frequencies[..., 0], frequencies[..., 0])
        ky = torch.where(edge_y, sign_y * frequencies[..., 1], frequencies[..., 1])
        across, kz = kx * math.cos(turn) + ky * math.sin(turn), frequencies[..., 2]
        for mirror in (1, -1):
            along, up = mirror * across, mirror * kz
            low, high = math.radians(-tilt_max_deg), math.radians(-tilt_min_deg)
            above = up * math.cos(low) >= along * math.sin(low) - slack
            under = up * math.cos(high) <= along * math.sin(high) + slack
            kept |= above & under & (along >= -slack)
    return kept.float()
