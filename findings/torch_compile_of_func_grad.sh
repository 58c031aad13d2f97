#!/usr/bin/env bash
# torch 2.14.1, torch.compile of torch.func.grad. An autograd.Function with setup_context whose forward calls an operator
# of torch.library (with a fake implementation, without an autograd formula: the Function has it) is differentiated
# rightly in eager mode, by torch.func.grad, and by backward() through torch.compile(fullgraph=True). The gradient of
# torch.compile(torch.func.grad(f), fullgraph=True) is silently zero.
# The obvious guess: the same gradient, or a refusal, as fullgraph=True promises.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet torch==2.14.1 numpy
cat > "$here/case.py" <<'PY'
import sys

import torch

library = torch.library.Library("finding", "DEF")
library.define("sine(Tensor x) -> Tensor")
library.impl("sine", lambda x: torch.from_numpy(__import__("numpy").sin(x.numpy())), "CPU")
torch.library.register_fake("finding::sine", lambda x: torch.empty_like(x), lib=library)


class Sine(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return torch.ops.finding.sine(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, upstream):
        (x,) = ctx.saved_tensors
        return upstream * torch.cos(x)


def energy(x):
    return Sine.apply(x).square().sum()


x = torch.tensor([0.3, 1.1], dtype=torch.float64)
truth = torch.sin(2 * x)
print("torch", torch.__version__, "truth", truth.tolist())
eager = torch.func.grad(energy)(x)
print("torch.func.grad, eager:", eager.tolist())
leaf = x.clone().requires_grad_()
torch.compile(energy, backend="eager", fullgraph=True)(leaf).backward()
print("compiled, then backward():", leaf.grad.tolist())
compiled = torch.compile(torch.func.grad(energy), backend="eager", fullgraph=True)(x)
print("compiled torch.func.grad:", compiled.tolist())
right = torch.allclose(eager, truth) and torch.allclose(leaf.grad, truth)
sys.exit(0 if right and not torch.allclose(compiled, truth) else 1)
PY
"$here/venv/bin/python" -W ignore "$here/case.py"
# Output seen:
#   torch 2.14.1+cu130 truth [0.5646424733950354, 0.8084964038195901]
#   torch.func.grad, eager: [0.5646424733950353, 0.8084964038195901]
#   compiled, then backward(): [0.5646424733950353, 0.8084964038195901]
#   compiled torch.func.grad: [0.0, 0.0]
