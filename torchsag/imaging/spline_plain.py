"""The cubic B-spline series, its derivatives and their transposes in plain tensor operations.

For every device, every transformation and every order of derivative: what the compiled loops are tested against, and
what stands behind them where a derivative of a derivative is asked for. Points are indices ``(x, y, z)`` into the
coefficients; a point whose 4 x 4 x 4 neighbourhood is not inside the table gives zero, one that is no number none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from torchsag.axes import Vectors

Table = Float[Tensor, "z y x"]
Batch = Float[Tensor, "*batch"]

_AXIS_NAMES = "xyz"


@dataclass(frozen=True)
class _Neighbourhood:
    """Which samples reach each point, and the splines there: value, slope and bend of four splines per axis.

    `beyond` is what a point outside reads: zero, or no number if it is none.
    """

    first: Integer[Tensor, "*batch"]
    inside: Bool[Tensor, "*batch"]
    beyond: Float[Tensor, "*batch"]
    splines: tuple[Float[Tensor, "*batch 3 4"], ...]
    strides: tuple[int, int]

    @staticmethod
    def of(index: Vectors, box: Sequence[int], orders: int) -> _Neighbourhood:
        z, y, x = box
        size = torch.tensor([x, y, z], device=index.device)
        inside = ((index >= 1) & (index < size - 2)).all(-1)
        beyond = torch.where(index.isnan().any(-1), torch.nan, 0.0).to(index)
        index = torch.where(inside[..., None], index, torch.ones_like(index))
        corner = index.detach().floor().long() - 1
        first = (corner[..., 2] * y + corner[..., 1]) * x + corner[..., 0]
        return _Neighbourhood(first, inside, beyond, _basis(index - (corner + 1), orders), (y * x, x))

    def lines(self) -> Iterator[tuple[int, int, Tensor]]:
        """Lines of four samples along x: their places along z and y, and where the samples lie in the flat table."""
        along = torch.arange(4, device=self.first.device)
        for k in range(4):
            for j in range(4):
                yield k, j, self.first[..., None] + (k * self.strides[0] + j * self.strides[1] + along)

    def weight(self, k: int, j: int, orders: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """Along x four weights, along y and z one: derivatives of given orders (x, y, z)."""
        across = self.splines[orders[1]][..., 1, j] * self.splines[orders[2]][..., 2, k]
        return self.splines[orders[0]][..., 0, :], across


def spline_values(coefficients: Table, index: Vectors) -> Batch:
    """Values of the series."""
    return _derivative(coefficients, index, [(0, 0, 0)])[0]


def spline_values_and_gradients(coefficients: Table, index: Vectors) -> tuple[Batch, Vectors]:
    """Values of the series and gradients ``(x, y, z)`` per table sample."""
    value, *slopes = _derivative(coefficients, index, [(0, 0, 0), *(_order(a) for a in _AXIS_NAMES)])
    return value, torch.stack(slopes, -1)


def spline_hessians(coefficients: Table, index: Vectors) -> Float[Tensor, "*batch 3 3"]:
    """Second derivatives of the series per table sample squared."""
    pairs = [a + b for a in _AXIS_NAMES for b in _AXIS_NAMES]
    distinct = ["xx", "xy", "xz", "yy", "yz", "zz"]
    found = dict(zip(distinct, _derivative(coefficients, index, [_order(pair) for pair in distinct]), strict=True))
    return torch.stack([found["".join(sorted(pair))] for pair in pairs], -1).unflatten(-1, (3, 3))


def spline_scatter(index: Vectors, upstream: Batch, box: Sequence[int]) -> Table:
    """Add each point's `upstream` to the samples it was read from: the transpose of `spline_values`."""
    return _transpose(index, [((0, 0, 0), upstream)], box)


def spline_scatter_gradients(index: Vectors, upstream: Vectors, box: Sequence[int]) -> Table:
    """The transpose of the gradients of `spline_values_and_gradients`."""
    return _transpose(index, list(zip(map(_order, _AXIS_NAMES), upstream.unbind(-1), strict=True)), box)


def _order(axes: str) -> tuple[int, int, int]:
    """How often to differentiate along x, y and z: ``"xx"`` is (2, 0, 0)."""
    return axes.count("x"), axes.count("y"), axes.count("z")


def _basis(fraction: Tensor, orders: int) -> tuple[Tensor, ...]:
    """The four cubic B-splines that reach a point `fraction` past a sample and their derivatives; last axis 4."""
    t = fraction
    values = [(1 - t) ** 3 / 6, 2 / 3 - t**2 + t**3 / 2, 1 / 6 + (t + t**2 - t**3) / 2, t**3 / 6]
    slopes = [-((1 - t) ** 2) / 2, -2 * t + 1.5 * t**2, 0.5 + t - 1.5 * t**2, t**2 / 2]
    bends = [1 - t, 3 * t - 2, 1 - 3 * t, t]
    return tuple(torch.stack(row, -1) for row in (values, slopes, bends)[: orders + 1])


def _derivative(coefficients: Tensor, index: Tensor, orders: list[tuple[int, int, int]]) -> list[Tensor]:
    near = _Neighbourhood.of(index, tuple(coefficients.shape), max(map(max, orders)))
    table = coefficients.reshape(-1)
    totals = [torch.zeros_like(index[..., 0]) for _ in orders]
    for k, j, places in near.lines():
        line = table[places]
        for number, order in enumerate(orders):
            along, across = near.weight(k, j, order)
            totals[number] = totals[number] + (line * along).sum(-1) * across
    return [torch.where(near.inside, total, near.beyond) for total in totals]


def _transpose(index: Tensor, parts: list[tuple[tuple[int, int, int], Tensor]], box: Sequence[int]) -> Tensor:
    near = _Neighbourhood.of(index, box, max(max(order) for order, _ in parts))
    table = parts[0][1].new_zeros(box[0] * box[1] * box[2])
    for k, j, places in near.lines():
        share = torch.zeros_like(near.splines[0][..., 0, :])
        for order, upstream in parts:
            along, across = near.weight(k, j, order)
            share = share + (torch.where(near.inside, upstream, torch.zeros_like(upstream)) * across)[..., None] * along
        table = table.index_add(0, places.reshape(-1), share.reshape(-1))
    return table.reshape(box)
