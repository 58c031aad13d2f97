"""Whether somebody records or transforms a computation: then compiled loops must step aside or say their derivative."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C._functorch import TransformType, get_interpreter_stack, peek_interpreter_stack
from torch.autograd import forward_ad


def is_transformed() -> bool:
    """Whether a transformation of `torch.func` is under way."""
    return peek_interpreter_stack() is not None


def is_recorded(*tensors: Tensor) -> bool:
    """Whether autograd, forward-mode differentiation, `torch.func` or `torch.compile` watches what is done to these."""
    if torch.compiler.is_compiling() or is_transformed() or forward_ad._current_level >= 0:
        return True
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def forward_levels() -> int:
    """How many forward-mode derivatives of `torch.func` are nested."""
    stack = get_interpreter_stack() or []
    return sum(level.key() == TransformType.Jvp for level in stack)
