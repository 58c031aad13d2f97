"""Evaluate a cubic B-spline series and its gradient at many points.

Two forms of one definition: plain tensor operations (`torchsag.imaging.spline_plain`), for every device and as the slow
twin in tests, and compiled loops for the CPU, about twenty times as fast. Both can be differentiated, transformed by
`torch.func` and compiled. Points are indices ``(x, y, z)`` into the coefficients; a point whose 4 x 4 x 4
neighbourhood is not inside the table gives zero, one that is no number gives none.
"""

from __future__ import annotations

from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Vectors
from torchsag.imaging import spline_autograd, spline_operators
from torchsag.imaging.interpolation import in_one_precision
from torchsag.imaging.spline_plain import spline_values, spline_values_and_gradients
from torchsag.recording import forward_levels, is_transformed


def sample_spline(coefficients: Float[Tensor, "z y x"], index: Vectors) -> Float[Tensor, "*batch"]:
    """Values of the series; differentiable in coefficients and points, as often as one likes."""
    coefficients, index = in_one_precision(coefficients, index)
    loops = _compiled_loops(coefficients)
    if loops is None:
        return spline_values(coefficients, index)
    return loops.values(coefficients, index.reshape(-1, 3)).reshape(index.shape[:-1])


def sample_spline_with_gradient(
    coefficients: Float[Tensor, "z y x"], index: Vectors
) -> tuple[Float[Tensor, "*batch"], Vectors]:
    """Values of the series and gradients per table sample, in one pass; differentiable like `sample_spline`."""
    coefficients, index = in_one_precision(coefficients, index)
    loops = _compiled_loops(coefficients)
    if loops is None:
        return spline_values_and_gradients(coefficients, index)
    values, gradients = loops.jet(coefficients, index.reshape(-1, 3))
    return values.reshape(index.shape[:-1]), gradients.reshape(index.shape)


def _compiled_loops(coefficients: Tensor) -> ModuleType | None:
    """Where the compiled loops are to be had for a table; None where only plain tensors give the right derivatives.

    As of torch 2.14 a function's own forward derivative knows nothing of a second one around it (forward over forward
    would be silently wrong), and operators refuse `torch.func` inside `torch.compile`.
    """
    if coefficients.device.type != "cpu":
        return None
    if torch.compiler.is_compiling():
        return None if is_transformed() else spline_operators
    return None if forward_levels() > 1 else spline_autograd
