#!/usr/bin/env bash
# torch 2.14.1, custom derivatives under torch.func. A function of one's own with setup_context and jvp passes gradcheck,
# and its Hessian by reverse over reverse or forward over reverse is right; forward over forward is silently wrong, since
# the function's jvp sees nothing of the outer tangent. An operator of torch.library with register_autograd refuses
# torch.func.grad altogether (pytorch issue 168393).
# The obvious guess: jacfwd(jacfwd(f)) equals hessian(f), or an error.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet torch==2.14.1 numpy
cat > "$here/case.py" <<'PY'
import sys

import torch
from torch.func import grad, hessian, jacfwd, jacrev


class Sine(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return torch.sin(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, upstream):
        (x,) = ctx.saved_tensors
        return upstream * torch.cos(x)

    @staticmethod
    def jvp(ctx, tangent):
        (x,) = ctx.saved_tensors
        return tangent * torch.cos(x)

    @staticmethod
    def vmap(info, in_dims, x):
        return Sine.apply(x), in_dims[0]


@torch.library.custom_op("finding::sine", mutates_args=())
def sine(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(x)


sine.register_autograd(
    lambda ctx, upstream: upstream * torch.cos(ctx.saved_tensors[0]),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)

x = torch.tensor([0.3, 1.1], dtype=torch.float64)
leaf = x.clone().requires_grad_()
print("torch", torch.__version__)
print("gradcheck, both modes:", torch.autograd.gradcheck(Sine.apply, leaf, check_forward_ad=True))
total = lambda x: Sine.apply(x).sum()
truth = -torch.sin(x)
found = {
    "forward over reverse": hessian(total)(x).diagonal(),
    "reverse over reverse": jacrev(jacrev(total))(x).diagonal(),
    "forward over forward": jacfwd(jacfwd(total))(x).diagonal(),
}
print("second derivative, truth", truth.tolist())
for name, value in found.items():
    print(f"  {name}: {value.tolist()}")
try:
    grad(lambda x: sine(x).sum())(x)
    refused = False
except RuntimeError as error:
    print("operator of torch.library under torch.func.grad:", str(error).splitlines()[0][:120])
    refused = "setup_context" in str(error)
right = [torch.allclose(found[n], truth) for n in ("forward over reverse", "reverse over reverse")]
wrong = not torch.allclose(found["forward over forward"], truth)
sys.exit(0 if all(right) and wrong and refused else 1)
PY
"$here/venv/bin/python" -W ignore "$here/case.py"
# Output seen:
#   torch 2.14.1+cu130
#   gradcheck, both modes: True
#   second derivative, truth [-0.29552020666133955, -0.8912073600614354]
#     forward over reverse: [-0.29552020666133955, -0.8912073600614354]
#     reverse over reverse: [-0.29552020666133955, -0.8912073600614354]
#     forward over forward: [0.0, 0.0]
#   operator of torch.library under torch.func.grad: In order to use an autograd.Function with functorch transforms ...
