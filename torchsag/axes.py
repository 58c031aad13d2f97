"""The axis vocabulary of the annotations, in one place.

Public tensors are annotated with these names; under pytest the annotations are checked at each call.

``particles``   P, one entry per subtomogram or per pose
``candidates``  C, poses considered for one particle
``terms``       terms of a finite sum: slices of a volume or blocks of Fourier coefficients
``z y x``       voxels; ``kx`` is the half-spectrum axis, ``x // 2 + 1`` long
``xyz``         3, a column vector or one side of a rotation matrix
``dof``         6, a tangent move: left rotation vector (3, radians) then shift (3, voxels)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Integer
from torch import Tensor

Rotations = Float[Tensor, "*batch 3 3"]
Vectors = Float[Tensor, "*batch 3"]
Moves = Float[Tensor, "*batch 6"]
Volumes = Float[Tensor, "*batch z y x"]
HalfSpectra = Complex[Tensor, "*batch z y kx"]
HalfWeights = Float[Tensor, "*batch z y kx"]
Indices = Integer[Tensor, "*batch"]
Box = tuple[int, int, int]
"""Size (z, y, x) of a volume, in voxels."""
ArrayLike = Tensor | np.ndarray[Any, np.dtype[Any]] | Sequence[Any]
"""What a user may give where numbers are wanted: it is converted and checked where it comes in."""
