"""Tensors computed once and kept for later calls, whoever called first: `torch.func`, inference mode or nobody."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import torch
from torch import Tensor

from torchsag.recording import is_transformed

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def kept(most: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep what a function of hashable arguments gave the last `most` times.

    As `functools.lru_cache`, but what is computed under a transformation of `torch.func` is not kept: such a tensor
    belongs to that transformation, and any later use of it is an error within torch. Under inference mode the function
    computes outside of it, since later calls may need gradients.
    """

    def keep(function: Callable[P, R]) -> Callable[P, R]:
        known: OrderedDict[Hashable, R] = OrderedDict()
        lock = threading.Lock()

        @functools.wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> R:
            if torch.compiler.is_compiling():
                return function(*args, **kwargs)
            key = (args, tuple(sorted(kwargs.items())))
            with lock:
                if key in known:
                    known.move_to_end(key)
                    return known[key]
            if is_transformed():
                return function(*args, **kwargs)
            with torch.inference_mode(False):
                made = function(*args, **kwargs)
            with lock:
                known[key] = made
                while len(known) > most:
                    known.popitem(last=False)
            return made

        return answer

    return keep


class kept_property(functools.cached_property[T]):
    """`functools.cached_property` for tensors, by the rule of `kept`.

    Nor is anything kept of an object whose own tensors are differentiated: it would hold, or lack, their history.
    """

    if not TYPE_CHECKING:

        def __get__(self, instance, owner=None):
            if torch.compiler.is_compiling() and instance is not None:
                return self.func(instance)
            if instance is None or self.attrname in vars(instance):
                return super().__get__(instance, owner)
            differentiated = any(isinstance(value, Tensor) and value.requires_grad for value in vars(instance).values())
            if differentiated or is_transformed():
                return self.func(instance)
            with torch.inference_mode(False):
                return super().__get__(instance, owner)
