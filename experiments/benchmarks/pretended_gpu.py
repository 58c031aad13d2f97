"""A GPU that is not there: tensors that say they are on one, computed on the CPU, and every launch counted.

Under `PretendedGPU`, ``device="cuda"`` gives tensors whose device is CUDA and whose numbers lie on the CPU. Every
operation that reaches torch's kernels is one launch at least; mixing devices is an error, as on a real card; what makes
a program wait for the card (a number read, a mask turned into indices, a copy) is counted. Libraries such as
linear algebra and FFTs may launch several kernels where one is counted here.
"""

from __future__ import annotations

import math
import weakref
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from torchsag.likelihood.fourier_kernel import fused_block_sums

_GPU = torch.device("cuda:0")
# Operations whose result's shape, or the number they hand over, is known to the device alone.
_WAITING = {
    "_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal",
    "repeat_interleave", "bincount", "is_nonzero",
}  # fmt: skip
_FREE = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "detach", "alias", "lift_fresh"}
_LAZY = {"_conj": torch.conj_physical, "_neg_view": torch.neg}
# They read as much of their first argument as they write.
_PICKING = {"index", "index_select", "gather", "embedding", "take"}


@dataclass
class Counts:
    """What the card was asked to do."""

    launches: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    coefficients: int = 0  # that the fused kernel compared with a model
    peak: int = 0  # bytes of all tensors at once, of those made while memory is watched
    _users: Counter[int] | None = None
    _held: int = 0

    def watch_memory(self) -> None:
        """From now on, find the peak."""
        self._users = Counter()

    def made(self, tensor: OnGPU) -> None:
        """A tensor's memory is in use until the last one that shares it is gone."""
        if self._users is None:
            return
        storage = tensor.held.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        self._held += size if self._users[place] == 0 else 0
        self._users[place] += 1
        self.peak = max(self.peak, self._held)
        weakref.finalize(tensor, self._gone, self._users, place, size)

    def _gone(self, users: Counter[int], place: int, size: int) -> None:
        users[place] -= 1
        self._held -= size if users[place] == 0 else 0

    def add(self, name: str, size: int) -> None:
        """One launch."""
        self.launches[name] += 1
        self.bytes[name] += size

    @property
    def summary(self) -> dict[str, int]:
        """The totals."""
        return {
            "launches": self.launches.total(),
            "bytes": self.bytes.total(),
            "waits": self.waits.total(),
        }


class OnGPU(Tensor):
    """A tensor whose device is CUDA; its numbers are in `held`."""

    held: Tensor
    counts: Counts | None = None  # of the class: who is counting

    @staticmethod
    def __new__(cls, held: Tensor):
        """Wrap a tensor of the CPU."""
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=_GPU, requires_grad=False,
        )  # fmt: skip
        made.held = held
        if cls.counts is not None:
            cls.counts.made(made)
        return made

    def __repr__(self) -> str:
        return f"OnGPU({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        """Compute on the CPU and wrap what comes out."""
        return _dispatch(function, args, kwargs or {})


def _bytes(tensor: Tensor) -> int:
    """Distinct numbers of a tensor, in bytes."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size for size, stride in sizes if stride != 0) * tensor.element_size()


def _dispatch(function, args, kwargs):
    name = function.overloadpacket.__name__
    flat, _ = tree_flatten((args, kwargs))
    tensors = [one for one in flat if isinstance(one, Tensor)]
    device = kwargs.get("device")
    leaves = name == "_to_copy" and device is not None and torch.device(device).type == "cpu"
    allowed = name in ("copy_", "index", "index_put_", "index_put", "_index_put_impl_")
    for one in tensors:
        if not isinstance(one, OnGPU) and one.dim() > 0:
            if not allowed:
                raise RuntimeError(f"{name}: expected all tensors on the same device, found cuda:0 and {one.device}")
            if OnGPU.counts is not None:
                OnGPU.counts.waits[f"copy to the GPU for {name}"] += 1
    if name in ("index", "index_put_", "index_put") and OnGPU.counts is not None:
        masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
        OnGPU.counts.waits[f"mask in {name}"] += len(masks)
    held = tree_map(lambda one: one.held if isinstance(one, OnGPU) else one, (args, kwargs))
    inner_args, inner_kwargs = held
    if device is not None:
        inner_kwargs = {**inner_kwargs, "device": "cpu"}
    inner_kwargs.pop("pin_memory", None)
    # Lazy conjugates are resolved above this level: here they would be forgotten.
    out = _LAZY.get(name, function)(*inner_args, **inner_kwargs)
    _count(name, function, tensors, out)
    if leaves:
        if OnGPU.counts is not None:
            OnGPU.counts.waits["copy to the CPU"] += 1
        return out
    if name == "copy_" and not isinstance(args[0], OnGPU):
        if OnGPU.counts is not None:
            OnGPU.counts.waits["copy to the CPU"] += 1
        return args[0]
    if function._schema.is_mutable and isinstance(out, Tensor):
        written = [one for one in flat if isinstance(one, OnGPU) and one.held is out]
        if written:
            return written[0]
    return tree_map(lambda one: OnGPU(one) if isinstance(one, Tensor) else one, out)


def _count(name: str, function, tensors: list[Tensor], out: Any) -> None:
    counts = OnGPU.counts
    if counts is None:
        return
    if name in _WAITING:
        counts.waits[name] += 1
    made = [one for one in tree_flatten(out)[0] if isinstance(one, Tensor)]
    is_view = function.is_view or (made and name in ("reshape", "_reshape_alias", "view_as_real", "view_as_complex"))
    if is_view or name in _FREE or name == "_local_scalar_dense":
        return
    read = tensors[1:] if name in _PICKING else tensors
    size = sum(map(_bytes, read)) + (2 if name in _PICKING else 1) * sum(map(_bytes, made))
    counts.add(name, size)


class _Factories(TorchFunctionMode):
    """What makes tensors on a GPU, or brings them there."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if name in ("to", "cuda"):
            return self._to(name, function, args, kwargs)
        if name == "numpy" and isinstance(args[0], OnGPU):
            raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first")
        if name == "tolist" and isinstance(args[0], OnGPU):
            if OnGPU.counts is not None:
                OnGPU.counts.waits["tolist"] += 1
            return args[0].held.tolist()
        device = kwargs.get("device")
        if name in ("as_tensor", "asarray") and isinstance(args[0], OnGPU) and len(args) == 1 and not kwargs:
            return args[0]
        if device is None or torch.device(device).type != "cuda":
            return function(*args, **kwargs)
        if any(isinstance(one, OnGPU) for one in tree_flatten(args)[0]):
            return function(*args, **kwargs)
        made = function(*args, **{**kwargs, "device": "cpu"})
        if OnGPU.counts is not None and isinstance(made, Tensor):
            if name in ("tensor", "as_tensor"):
                OnGPU.counts.waits[f"copy to the GPU for {name}"] += 1
            elif name not in _FREE:
                OnGPU.counts.add(name, _bytes(made))
        return OnGPU(made)

    def _to(self, name, function, args, kwargs):
        source, rest = args[0], list(args[1:])
        target = kwargs.get("device")
        for place, one in enumerate(rest):
            if isinstance(one, Tensor):
                rest[place : place + 1] = [one.device, one.dtype]
                break
        if name == "cuda":
            target, rest = _GPU, []
        for place, one in enumerate(rest):
            if isinstance(one, (str, torch.device)):
                target = torch.device(one)
                rest[place] = torch.device("cpu")
        if "other" in kwargs:
            raise NotImplementedError("to(other=...)")
        going = target is not None and torch.device(target).type == "cuda"
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        if isinstance(source, OnGPU):
            if target is not None and not going:
                return Tensor.to(source, *args[1:], **{**kwargs, **({"device": target} if "device" in kwargs else {})})
            held = Tensor.to(source.held, *rest, **kwargs)
            if held is source.held:
                return source
            if OnGPU.counts is not None:
                OnGPU.counts.add("_to_copy", _bytes(source) + _bytes(held))
            return OnGPU(held)
        if not going:
            return function(*args, **kwargs)
        if OnGPU.counts is not None:
            OnGPU.counts.waits["copy to the GPU"] += 1
        return OnGPU(Tensor.to(source, *rest, **kwargs).clone() if name == "to" else source.clone())


def _stand_in(table, band, observed, poses, particle, terms, order=2):
    """What `triton_block_sums` gives, by the kernel for CPUs; it counts as if nothing stayed in any cache."""

    def held(one):
        return one.held if isinstance(one, OnGPU) else one

    def all_held(whole):
        return replace(whole, **{field.name: held(getattr(whole, field.name)) for field in fields(whole)})

    if not all(isinstance(one, OnGPU) for one in (table.samples, observed.data, poses.shifts, particle)):
        raise RuntimeError("block sums: expected all tensors on the GPU")
    inner = [all_held(one) for one in (table, band, observed, poses)]
    with mock.patch.object(OnGPU, "counts", None):
        sums = fused_block_sums(*inner, held(particle), held(terms), order)
    if OnGPU.counts is not None:
        if not isinstance(terms, OnGPU):
            OnGPU.counts.waits["copy to the GPU for terms"] += 1
        sizes = band.starts.diff()[held(terms)].sum()
        measured = (inner[2].weights > 0).float().mean()
        # Datum, weight, frequencies; where something was measured eight corners of eight channels, 16 bits each.
        read = float(sizes * (8 + 4 + 12) + sizes * measured * 8 * 8 * 2)
        OnGPU.counts.add("block_sums", int(len(poses) * read) + _bytes(sums))
        OnGPU.counts.coefficients += int(len(poses) * sizes * measured)
    return OnGPU(sums)


class _Inner(TorchDispatchMode):
    """Tensors on the GPU that torch makes by itself, out of a number for instance."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if device is not None and torch.device(device).type == "cuda":
            return _dispatch(function, args, kwargs)
        return function(*args, **kwargs)


@contextmanager
def pretended_gpu(counts: Counts | None = None, fused: bool = True):
    """Within, torch finds one GPU, and Triton works on it unless `fused` is false."""
    torch._C._ensureCUDADeviceGuardSet()  # as torch's own fake tensors do: without a driver nothing is to be guarded
    with ExitStack() as stack:
        stack.enter_context(mock.patch("torchsag.likelihood.fourier_blocks._can_use_triton", return_value=fused))
        stack.enter_context(mock.patch("torchsag.likelihood.fourier_triton.triton_block_sums", _stand_in))
        stack.enter_context(mock.patch("torch.cuda.is_available", return_value=True))
        stack.enter_context(mock.patch("torch.cuda.device_count", return_value=1))
        stack.enter_context(mock.patch("torch.cuda.get_device_name", return_value="a pretended GPU"))
        stack.enter_context(mock.patch("torch.cuda.synchronize"))
        stack.enter_context(mock.patch("torch.cuda.mem_get_info", return_value=(80 * 10**9, 96 * 10**9)))
        stack.enter_context(mock.patch.object(OnGPU, "counts", counts))
        stack.enter_context(_Inner())
        stack.enter_context(_Factories())
        yield
