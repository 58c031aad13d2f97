"""Rotations as matrices, rotation vectors and ZYZ Euler angles.

Matrices act on columns ``(x, y, z)``. Euler angles are RELION's (rot, tilt, psi), in radians:
``R^T = Rz(rot) Ry(tilt) Rz(psi)`` with active right-handed elementary rotations, so that RELION's
``Euler_angles2matrix(rot, tilt, psi)`` is ``R``.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.axes import Rotations, Vectors
from torchsag.errors import InputError
from torchsag.geometry.coordinates import require_broadcast, require_coordinates
from torchsag.geometry.cross_product import cross_matrix, twice_sine_axis
from torchsag.geometry.nearest_rotation import nearest_rotation
from torchsag.geometry.precision import exact_product
from torchsag.requirements import require_kind, require_whole

# The power series of a rotation: with five powers of a^2 beyond the first, its second derivatives are exact in double
# precision below this a^2.
_ROTATION_SERIES_BELOW = 1e-2
_TERMS = 6
# The series of arcsin(s) / s: below this s^2 its error is under a unit in the last place of double precision.
_ARCSINE_SERIES_BELOW = 1e-5
# Below this many units in the last place a sine is rounding, and its direction chance.
_ROUNDING = 16


def rotvec_to_matrix(rotvec: Vectors) -> Rotations:
    """Turn rotation vectors (axis times angle, radians) into matrices; smooth everywhere, also at zero.

    Rodrigues' formula ``1 + sin(a) / a [v] + (1 - cos a) / a^2 [v]^2`` with a = |v|. Both factors are functions of a^2
    and come from their power series near zero, so that derivatives of every order exist there. (A first-order matrix
    near zero, as libraries have it, is accurate but has no second derivative.)
    """
    require_coordinates("rotation vectors", rotvec, 3)
    squared = rotvec.square().sum(-1)[..., None, None]
    near = squared < _ROTATION_SERIES_BELOW
    half = torch.where(near, torch.ones_like(squared), squared).sqrt() / 2
    sinc = torch.sin(half) / half
    first = torch.where(near, _power_series(squared, 1), sinc * torch.cos(half))
    second = torch.where(near, _power_series(squared, 2), sinc.square() / 2)
    turn = cross_matrix(rotvec)
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) + first * turn + second * exact_product(turn, turn)


def _power_series(squared: Tensor, order: int) -> Tensor:
    """``sum_k (-a^2)^k / (2 k + order)!`` for a^2 of at most 0.01.

    That is sin(a) / a for order 1, (1 - cos a) / a^2 for order 2, (a - sin a) / a^3 for order 3.
    """
    total = torch.full_like(squared, 1 / math.factorial(2 * _TERMS + order))
    for k in reversed(range(_TERMS)):
        total = 1 / math.factorial(2 * k + order) - squared * total
    return total


def left_jacobian(rotvec: Vectors) -> Rotations:
    """How a rotation responds to its vector: ``exp(v + d) = exp(J(v) d) exp(v)`` to first order in d.

    ``J = 1 + (1 - cos a) / a^2 [v] + (a - sin a) / a^3 [v]^2`` with a = |v|, by series near zero (Chirikjian 2012,
    Stochastic Models, Information Theory, and Lie Groups, volume 2, section 10.6).
    """
    require_coordinates("rotation vectors", rotvec, 3)
    squared = rotvec.square().sum(-1)[..., None, None]
    near = squared < _ROTATION_SERIES_BELOW
    safe = torch.where(near, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(near, _power_series(squared, 2), (1 - torch.cos(angle)) / safe)
    second = torch.where(near, _power_series(squared, 3), (angle - torch.sin(angle)) / (safe * angle))
    turn = cross_matrix(rotvec)
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) + first * turn + second * exact_product(turn, turn)


def matrix_to_rotvec(rotation: Rotations) -> Vectors:
    """Turn matrices into the shortest rotation vectors (angle at most pi).

    At half-turns the vector jumps to its opposite; the derivative there is that of the side it is on.
    """
    require_coordinates("rotations", rotation, 3, 3)
    quaternion = _matrix_to_quaternion(rotation)
    vector, real = quaternion[..., :3], quaternion[..., 3:]
    squared = vector.square().sum(-1, keepdim=True)
    near = squared < _ARCSINE_SERIES_BELOW
    length = torch.where(near, torch.ones_like(squared), squared).sqrt()
    # angle / sine of its half: 2 arcsin(s) / s by its series near zero
    ratio = torch.where(near, 2 + squared / 3 + 3 * squared.square() / 20, 2 * torch.atan2(length, real) / length)
    return ratio * vector


def axis_rotation(axis: str, angle: Float[Tensor, "*batch"]) -> Rotations:
    """Active right-handed rotation by `angle` (radians) about the axis ``"x"``, ``"y"`` or ``"z"``."""
    require_coordinates("angle", angle)
    if axis not in ("x", "y", "z"):
        raise InputError(f"axis: expected x, y or z, got {axis!r}")
    cos, sin = torch.cos(angle), torch.sin(angle)
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    rows = {
        "x": [one, zero, zero, zero, cos, -sin, zero, sin, cos],
        "y": [cos, zero, sin, zero, one, zero, -sin, zero, cos],
        "z": [cos, -sin, zero, sin, cos, zero, zero, zero, one],
    }[axis]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def zyz_to_matrix(zyz: Vectors) -> Rotations:
    """Turn (rot, tilt, psi) into the active matrix ``R`` (see the module's convention); differentiable."""
    require_coordinates("Euler angles", zyz, 3)
    rot, tilt, psi = zyz.unbind(-1)
    inverse = exact_product(exact_product(axis_rotation("z", rot), axis_rotation("y", tilt)), axis_rotation("z", psi))
    return inverse.mT


def matrix_to_zyz(rotation: Rotations) -> Vectors:
    """Turn active matrices into (rot, tilt, psi), tilt in [0, pi].

    At tilt 0 or pi only rot + psi or rot - psi is defined; psi is then zero.

    Differentiable to second order between the poles. At a pole the angles have no derivative: tilt is the tip of a cone
    there, rot and psi jump. What autograd gives for them is finite and exact for turns about the z axis, which stay at
    the pole: rot turns with them, tilt and psi have zero. To optimize orientations, move in the tangent
    (`torchsag.geometry.Poses.retract`) instead.
    """
    require_coordinates("rotations", rotation, 3, 3)
    sin_tilt, regular = _length(rotation[..., 2, :2])
    tilt = torch.atan2(sin_tilt, rotation[..., 2, 2])
    rot = _angle(rotation[..., 2, 1], rotation[..., 2, 0], regular)
    psi = _angle(rotation[..., 1, 2], -rotation[..., 0, 2], regular)
    # With psi = 0 at a pole, R = Ry(-tilt) Rz(-rot): its second row is (-sin rot, cos rot, 0).
    polar_rot = _angle(-rotation[..., 1, 0], rotation[..., 1, 1], ~regular)
    return torch.stack([rot + polar_rot, tilt, psi], -1)


def _angle(sine: Tensor, cosine: Tensor, where: Tensor) -> Tensor:
    """The angle of (cosine, sine) under the condition; zero elsewhere, and without a gradient.

    Both are replaced *before* `atan2`: the gradient of what `torch.where` throws away would be 0 * infinity.
    """
    return torch.atan2(
        torch.where(where, sine, torch.zeros_like(sine)), torch.where(where, cosine, torch.ones_like(cosine))
    )


def _length(vector: Float[Tensor, "*batch n"]) -> tuple[Float[Tensor, "*batch"], Bool[Tensor, "*batch"]]:
    """Length of sines, and whether it is more than rounding; where it is not, its derivatives are zero."""
    length = vector.detach().norm(dim=-1)
    regular = length > _ROUNDING * torch.finfo(vector.dtype).eps
    safe = torch.where(regular[..., None], vector, torch.ones_like(vector))
    return torch.where(regular, safe.norm(dim=-1), length), regular


def rotation_distance(first: Rotations, second: Rotations) -> Float[Tensor, "*batch"]:
    """Angle (radians, 0 to pi) of the rotation that turns one into the other; accurate also for tiny angles.

    At 0 and at pi it is the tip of a cone: there is no derivative there, and autograd gives zero. Its square has second
    derivatives at 0 which products of zeros miss: take ``matrix_to_rotvec(first.mT @ second).square().sum(-1)``.
    """
    require_coordinates("first rotations", first, 3, 3)
    require_coordinates("second rotations", second, 3, 3)
    require_broadcast("first rotations", first, "second rotations", second)
    return rotation_angle(exact_product(first.mT, second))


def rotation_angle(rotation: Rotations) -> Float[Tensor, "*batch"]:
    """By how much (radians, 0 to pi) a rotation turns; accurate also for tiny angles and half-turns.

    Derivatives at 0 and pi are those of `rotation_distance`: zero.
    """
    require_coordinates("rotations", rotation, 3, 3)
    sine, _ = _length(twice_sine_axis(rotation))
    return torch.atan2(sine, rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1)


def project_to_rotation(matrix: Rotations) -> Rotations:
    """The nearest rotation, to remove rounding after many compositions; twice differentiable, at rotations, too."""
    require_coordinates("matrices", matrix, 3, 3)
    return nearest_rotation(matrix)


def random_rotations(
    count: int, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "count 3 3"]:
    """Rotations uniform on SO(3) (unit quaternions from normal deviates), drawn on the CPU in float64."""
    require_whole("count", count)
    if generator is not None:
        require_kind("generator", generator, torch.Generator, "a torch.Generator", "or None for torch's own")
    quaternion = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return _quaternion_to_matrix(quaternion / quaternion.norm(dim=-1, keepdim=True)).to(dtype)


def mean_rotation(
    rotations: Float[Tensor, "*batch n 3 3"], weights: Float[Tensor, "*batch n"] | None = None
) -> Rotations:
    """Chordal mean: the rotation with the least weighted squared Frobenius distance to all; twice differentiable."""
    require_coordinates("rotations", rotations, 3, 3)
    if rotations.ndim < 3 or not rotations.shape[-3]:
        raise InputError(f"rotations: expected several to take the mean of, got shape {list(rotations.shape)}")
    if weights is None:
        weights = torch.ones(rotations.shape[:-2], dtype=rotations.dtype, device=rotations.device)
    require_coordinates("weights", weights)
    if weights.shape != rotations.shape[:-2]:
        raise InputError(
            f"weights: expected one for each rotation, {list(rotations.shape[:-2])}, got shape {list(weights.shape)}"
        )
    return nearest_rotation((weights[..., None, None] * rotations).sum(-3))


def _quaternion_to_matrix(quaternion: Float[Tensor, "*batch 4"]) -> Rotations:
    """The rotation of a unit quaternion (x, y, z, w), w its real part."""
    x, y, z, w = quaternion.unbind(-1)
    rows = [
        [x * x - y * y - z * z + w * w, 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), y * y - x * x - z * z + w * w, 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), z * z - x * x - y * y + w * w],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _matrix_to_quaternion(rotation: Rotations) -> Float[Tensor, "*batch 4"]:
    """The unit quaternion (x, y, z, w) with w >= 0.

    Each row below is the quaternion times four times one of its entries; the largest divides best (Shepperd, Journal
    of Guidance and Control 1, 1978).
    """
    diagonal = rotation.diagonal(dim1=-2, dim2=-1)
    trace = diagonal.sum(-1, keepdim=True)
    a = twice_sine_axis(rotation)
    xy, xz, yz = (rotation[..., i, j] + rotation[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    dx, dy, dz = (1 + 2 * diagonal - trace).unbind(-1)
    rows = [
        [dx, xy, xz, a[..., 0]],
        [xy, dy, yz, a[..., 1]],
        [xz, yz, dz, a[..., 2]],
        [a[..., 0], a[..., 1], a[..., 2], 1 + trace[..., 0]],
    ]
    multiples = torch.stack([torch.stack(row, -1) for row in rows], -2)
    largest = torch.cat([diagonal, trace], -1).argmax(-1)[..., None, None].expand(*trace.shape, 4)
    chosen = multiples.take_along_dim(largest, -2)[..., 0, :]
    sign = torch.where(chosen[..., 3:] < 0, -1.0, 1.0).to(chosen)
    return sign * chosen / chosen.norm(dim=-1, keepdim=True)
