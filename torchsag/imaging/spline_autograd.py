"""The spline's compiled CPU loops as functions that autograd and `torch.func` know: any order of derivative.

Three functions that are each other's derivatives, so that first and second derivatives run in compiled loops wherever
one exists, and in `torchsag.imaging.spline_plain` beyond::

    values          f(c, x)              backward: scatter and values-and-gradients
    scatter         S(x, g)              backward: values-and-gradients of the incoming table (S is f's transpose)
    jet             f(c, x), grad f      backward: plain tensors, differentiable as often as one likes

Each has `setup_context`, a batching rule for `vmap` and a forward derivative for `jvp`. They are
`torch.autograd.Function` rather than operators of `torch.library`, because those refuse `torch.func.grad` (torch 2.14,
pytorch issue 168393); under `torch.compile`, which in turn refuses functions with a forward derivative,
`torchsag.imaging.spline_operators` takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import Function

from torchsag.imaging.spline_kernel import scatter_kernel, value_gradient_kernel, value_kernel
from torchsag.imaging.spline_plain import spline_hessians, spline_scatter_gradients
from torchsag.recording import is_recorded

# A recorded call takes 50 microseconds longer.
# Tables are [z, y, x], points [n, 3]; pyright does not know that `apply` returns what `forward` does.


def values(coefficients: Tensor, points: Tensor) -> Tensor:
    """`torchsag.imaging.spline_plain.spline_values` by the compiled loop."""
    if not is_recorded(coefficients, points):
        return run_values(coefficients, points)
    return _Values.apply(coefficients, points)  # pyright: ignore[reportReturnType]


def scatter(points: Tensor, upstream: Tensor, box: Sequence[int]) -> Tensor:
    """`torchsag.imaging.spline_plain.spline_scatter` by the compiled loop."""
    if not is_recorded(points, upstream):
        return run_scatter(points, upstream, box)
    return _Scatter.apply(points, upstream, box)  # pyright: ignore[reportReturnType]


def jet(coefficients: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """`torchsag.imaging.spline_plain.spline_values_and_gradients` by the compiled loop."""
    if not is_recorded(coefficients, points):
        return run_jet(coefficients, points)
    return _Jet.apply(coefficients, points)  # pyright: ignore[reportReturnType]


def run_values(coefficients: Tensor, points: Tensor) -> Tensor:
    """The loop itself, on tensors that are not transformed."""
    result = torch.empty_like(points[:, 0])
    value_kernel(_array(coefficients), _array(points), result.numpy())
    return result


def run_scatter(points: Tensor, upstream: Tensor, box: Sequence[int]) -> Tensor:
    """The loop itself, on tensors that are not transformed."""
    table = torch.zeros(tuple(box), dtype=upstream.dtype)
    scatter_kernel(_array(points), _array(upstream), table.numpy())
    return table


def run_jet(coefficients: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """The loop itself, on tensors that are not transformed."""
    result, slopes = torch.empty_like(points[:, 0]), torch.empty_like(points, memory_format=torch.contiguous_format)
    value_gradient_kernel(_array(coefficients), _array(points), result.numpy(), slopes.numpy())
    return result, slopes


def _array(tensor: Tensor):
    return tensor.detach().contiguous().numpy()


@dataclass(frozen=True)
class Loops:
    """The three functions in a form that can be differentiated: what backward formulas are written with."""

    values: Callable[[Tensor, Tensor], Tensor]
    scatter: Callable[[Tensor, Tensor, Sequence[int]], Tensor]
    jet: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

    def values_backward(self, ctx, upstream: Tensor):
        """To the table by the transpose, to the points by the gradient."""
        coefficients, points = ctx.saved_tensors
        to_table = to_points = None
        if ctx.needs_input_grad[0]:
            to_table = self.scatter(points, upstream, tuple(coefficients.shape))
        if ctx.needs_input_grad[1]:
            to_points = self.jet(coefficients, points)[1] * upstream[:, None]
        return to_table, to_points

    def scatter_backward(self, ctx, table: Tensor):
        """``<T, S(x, g)> = sum_n g_n f(T, x_n)``."""
        points, upstream = ctx.saved_tensors
        read, slopes = self.jet(table, points)
        return slopes * upstream[:, None], read, None

    def jet_backward(self, ctx, to_values: Tensor, to_gradients: Tensor):
        """Second derivatives, by plain tensors."""
        coefficients, points = ctx.saved_tensors
        to_table = to_points = None
        if ctx.needs_input_grad[0]:
            box = tuple(coefficients.shape)
            to_table = self.scatter(points, to_values, box) + spline_scatter_gradients(points, to_gradients, box)
        if ctx.needs_input_grad[1]:
            bent = (spline_hessians(coefficients, points) * to_gradients[:, None, :]).sum(-1)
            to_points = self.jet(coefficients, points)[1] * to_values[:, None] + bent
        return to_table, to_points


class _Values(Function):
    @staticmethod
    def forward(coefficients: Tensor, points: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return run_values(coefficients, points)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        return _LOOPS.values_backward(ctx, upstream)

    @staticmethod
    def jvp(ctx, table_tangent: Tensor | None, points_tangent: Tensor | None):  # pyright: ignore[reportIncompatibleMethodOverride]
        coefficients, points = ctx.saved_tensors
        change = torch.zeros_like(points[:, 0])
        if table_tangent is not None:
            change = change + values(table_tangent, points)
        if points_tangent is not None:
            change = change + (jet(coefficients, points)[1] * points_tangent).sum(-1)
        return change

    @staticmethod
    def vmap(info, in_dims, coefficients: Tensor, points: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        if in_dims[0] is None:  # one table: the batch is only more points
            moved = points.movedim(in_dims[1], 0)
            return values(coefficients, moved.reshape(-1, 3)).reshape(moved.shape[:-1]), 0
        pairs = zip(*_rows(info, in_dims, coefficients, points), strict=True)
        return torch.stack([values(table, at) for table, at in pairs]), 0


class _Scatter(Function):
    @staticmethod
    def forward(points: Tensor, upstream: Tensor, box: Sequence[int]) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return run_scatter(points, upstream, box)

    @staticmethod
    def setup_context(ctx, inputs, output):
        points, upstream, ctx.box = inputs
        ctx.save_for_backward(points, upstream)
        ctx.save_for_forward(points, upstream)

    @staticmethod
    def backward(ctx, table: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        return _LOOPS.scatter_backward(ctx, table)

    @staticmethod
    def jvp(ctx, points_tangent: Tensor | None, upstream_tangent: Tensor | None, _):  # pyright: ignore[reportIncompatibleMethodOverride]
        points, upstream = ctx.saved_tensors
        change = upstream.new_zeros(ctx.box)
        if upstream_tangent is not None:
            change = change + scatter(points, upstream_tangent, ctx.box)
        if points_tangent is not None:
            change = change + spline_scatter_gradients(points, upstream[:, None] * points_tangent, ctx.box)
        return change

    @staticmethod
    def vmap(info, in_dims, points: Tensor, upstream: Tensor, box: Sequence[int]):  # pyright: ignore[reportIncompatibleMethodOverride]
        pairs = zip(*_rows(info, in_dims, points, upstream), strict=True)
        return torch.stack([scatter(at, amount, box) for at, amount in pairs]), 0


class _Jet(Function):
    @staticmethod
    def forward(coefficients: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return run_jet(coefficients, points)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, to_values: Tensor, to_gradients: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        return _LOOPS.jet_backward(ctx, to_values, to_gradients)

    @staticmethod
    def jvp(ctx, table_tangent: Tensor | None, points_tangent: Tensor | None):  # pyright: ignore[reportIncompatibleMethodOverride]
        coefficients, points = ctx.saved_tensors
        change, slope_change = torch.zeros_like(points[:, 0]), torch.zeros_like(points)
        if table_tangent is not None:
            more, slope_more = jet(table_tangent, points)
            change, slope_change = change + more, slope_change + slope_more
        if points_tangent is not None:
            change = change + (jet(coefficients, points)[1] * points_tangent).sum(-1)
            bent = (spline_hessians(coefficients, points) * points_tangent[:, None, :]).sum(-1)
            slope_change = slope_change + bent
        return change, slope_change

    @staticmethod
    def vmap(info, in_dims, coefficients: Tensor, points: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        if in_dims[0] is None:
            moved = points.movedim(in_dims[1], 0)
            read, slopes = jet(coefficients, moved.reshape(-1, 3))
            return (read.reshape(moved.shape[:-1]), slopes.reshape(moved.shape)), (0, 0)
        pairs = zip(*_rows(info, in_dims, coefficients, points), strict=True)
        each = [jet(table, at) for table, at in pairs]
        return tuple(torch.stack(part) for part in zip(*each, strict=True)), (0, 0)


_LOOPS = Loops(values, scatter, jet)


def _rows(info, in_dims, *tensors: Tensor) -> list:
    """Each tensor's entries along the batched axis; one that is not batched again for every entry."""
    return [
        [tensor] * info.batch_size if axis is None else list(tensor.movedim(axis, 0))
        for tensor, axis in zip(tensors, in_dims, strict=False)
    ]
