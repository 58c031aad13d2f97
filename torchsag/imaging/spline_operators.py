"""The spline's compiled CPU loops as operators of `torch.library`: opaque to `torch.compile`, shapes known.

Only traced code comes here; `torchsag.imaging.spline_autograd` says why there are two doors to the same loops. Nothing
of the compiler is imported until something is compiled.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchsag.imaging.spline_autograd import Loops, run_jet, run_scatter, run_values

_library = torch.library.Library("torchsag", "DEF")
_library.define("spline_values(Tensor coefficients, Tensor points) -> Tensor")
_library.define("spline_scatter(Tensor points, Tensor upstream, int[] box) -> Tensor")
_library.define("spline_jet(Tensor coefficients, Tensor points) -> (Tensor, Tensor)")
_library.impl("spline_values", run_values, "CPU")
_library.impl("spline_scatter", run_scatter, "CPU")
_library.impl("spline_jet", run_jet, "CPU")


@torch.library.register_fake("torchsag::spline_values", lib=_library)
def _values_shape(coefficients: Tensor, points: Tensor) -> Tensor:
    return torch.empty_like(points[:, 0], memory_format=torch.contiguous_format)


@torch.library.register_fake("torchsag::spline_scatter", lib=_library)
def _scatter_shape(points: Tensor, upstream: Tensor, box: list[int]) -> Tensor:
    return upstream.new_empty(box)


@torch.library.register_fake("torchsag::spline_jet", lib=_library)
def _jet_shape(coefficients: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    return (
        torch.empty_like(points[:, 0], memory_format=torch.contiguous_format),
        torch.empty_like(points, memory_format=torch.contiguous_format),
    )


def _keep_inputs(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs[:2])


values = torch.ops.torchsag.spline_values
scatter = torch.ops.torchsag.spline_scatter
jet = torch.ops.torchsag.spline_jet

_loops = Loops(values, scatter, jet)
for _name, _backward in (
    ("spline_values", _loops.values_backward),
    ("spline_scatter", _loops.scatter_backward),
    ("spline_jet", _loops.jet_backward),
):
    torch.library.register_autograd(f"torchsag::{_name}", _backward, setup_context=_keep_inputs, lib=_library)
