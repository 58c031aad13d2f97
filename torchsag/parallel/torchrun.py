"""Many processes started by torchrun."""

from __future__ import annotations

import datetime
import functools
import itertools
import logging
import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from torchsag.errors import InputError
from torchsag.launch import Launch
from torchsag.parallel.failure import attempt, result_of
from torchsag.parallel.gpu import take_gpu
from torchsag.parallel.workers import Result, Task, Value

_log = logging.getLogger(__name__)

_LOOPBACK = "lo"
_SECONDS_FOR_ROOT = 10.0
_SECONDS_BETWEEN_LOOKS = 0.005

# Every rank makes the same calls in the same order, so that equal numbers mean the same call.
_calls = itertools.count()


@dataclass(frozen=True)
class Torchrun:
    """The processes of a torch.distributed job; chunks go to whoever is free, by a counter in the job's store.

    Attributes
    ----------
    timeout_minutes
        Longest time that a rank waits for another at a meeting point. A rank that dies is noticed at once, by torchrun.
    """

    timeout_minutes: float = 1440.0

    def __post_init__(self):
        if not self.timeout_minutes > 0:
            raise InputError(f"timeout_minutes: expected a time above 0, got {self.timeout_minutes}")

    @property
    def rank(self) -> int:
        """torchrun's ``RANK``."""
        return _launch().rank

    @property
    def size(self) -> int:
        """torchrun's ``WORLD_SIZE``."""
        return _launch().size

    @property
    def is_root(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def map_chunks(self, function: Callable[[Task], Result], chunks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """See `Workers.map_chunks`; results arrive in no fixed order."""
        store = distributed.PrefixStore(f"map{next(_calls)}", _connect(self.timeout_minutes))
        if not self.is_root:
            for number in _tickets(store, len(chunks)):
                _send(store, number, attempt(function, chunks[number], self.rank))
            return
        own, left = _tickets(store, len(chunks)), len(chunks)
        try:
            while left:
                mine = next(own, None)
                if mine is not None:
                    yield chunks[mine], function(chunks[mine])
                    left -= 1
                for number, answer in _arrived(store):
                    yield chunks[number], result_of(answer)
                    left -= 1
                if mine is None:
                    time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            store.add("ticket", len(chunks))  # after a failure nobody should begin another chunk

    def broadcast(self, value: Value) -> Value:
        """The root's value, pickled."""
        _connect(self.timeout_minutes)
        parcel = [value]
        distributed.broadcast_object_list(parcel, src=0, device=torch.device("cpu"))
        return parcel[0]

    def sum_to_root(self, values: Tensor) -> Tensor:
        """``torch.distributed.reduce`` in the values' own precision."""
        _connect(self.timeout_minutes)
        total = values.detach().clone(memory_format=torch.contiguous_format)
        distributed.reduce(total, dst=0)
        return total

    @contextmanager
    def together(self) -> Iterator[None]:
        """See `Workers.together`: torchrun ends the others when one exits with an error, and names it."""
        _log_processes(self)
        try:
            yield
        except BaseException:
            if not self.is_root:
                # Unusable input fails on every rank: then the root says so, once.
                time.sleep(_SECONDS_FOR_ROOT)
                _log.error("rank %d of %d fails", self.rank, self.size)
            raise
        distributed.destroy_process_group()


def _log_processes(workers: Torchrun) -> None:
    _connect(workers.timeout_minutes)
    who: list[Any] | None = [None] * workers.size if workers.is_root else None
    distributed.gather_object(f"rank {workers.rank} is process {os.getpid()} on {socket.gethostname()}", who, dst=0)
    if who is not None:
        _log.info("%d processes: %s", workers.size, ", ".join(who))


def _tickets(store: distributed.Store, count: int) -> Iterator[int]:
    """Numbers below `count`, each on one rank only."""
    while (number := store.add("ticket", 1) - 1) < count:
        yield number


def _send(store: distributed.Store, number: int, answer: Any) -> None:
    """Leave an answer for the root, which looks for them one after another."""
    content = pickle.dumps((number, answer), protocol=pickle.HIGHEST_PROTOCOL)
    store.set(f"answer{store.add('sent', 1)}", content)  # type: ignore[arg-type]  # annotated as text, takes bytes


def _arrived(store: distributed.Store) -> Iterator[tuple[int, Any]]:
    """Answers that the root has not read yet."""
    while store.check([key := f"answer{store.add('read', 0) + 1}"]):
        yield pickle.loads(store.get(key))
        store.delete_key(key)
        store.add("read", 1)


def _launch() -> Launch:
    launch = Launch.of(os.environ)
    if launch.launcher != "torch":
        raise InputError(
            "parallel=torch: expected to be started by torchrun, got no RANK, WORLD_SIZE and MASTER_ADDR in the "
            "environment; use torchrun --nproc-per-node 2 -m torchsag ..., or parallel=serial"
        )
    return launch


@functools.cache
def _connect(timeout_minutes: float) -> distributed.Store:
    """Join the job: gloo for tensors on the CPU, nccl for those on GPUs. Returns its store."""
    _stay_on_this_host()
    timeout = datetime.timedelta(minutes=timeout_minutes)
    store, rank, size = next(distributed.rendezvous("env://", timeout=timeout))
    take_gpu(_launch().local_rank)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"
    distributed.init_process_group(
        backend, store=distributed.PrefixStore("group", store), rank=rank, world_size=size, timeout=timeout
    )
    return distributed.PrefixStore("work", store)


def _stay_on_this_host() -> None:
    """Where all ranks are on one host, nobody else need reach them: gloo's sockets know no password."""
    alone = os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]
    if alone and _LOOPBACK in [name for _, name in socket.if_nameindex()]:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _LOOPBACK)
