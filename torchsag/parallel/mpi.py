"""Many processes started by mpiexec or srun."""

from __future__ import annotations

import functools
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from torchsag.errors import InputError
from torchsag.launch import Launch
from torchsag.parallel.failure import attempt, result_of
from torchsag.parallel.gpu import take_gpu
from torchsag.parallel.workers import Result, Task, Value

if TYPE_CHECKING:
    from mpi4py.futures import MPIPoolExecutor
    from mpi4py.MPI import Intracomm

_log = logging.getLogger(__name__)

_SECONDS_FOR_ROOT = 10.0
_SECONDS_BETWEEN_LOOKS = 0.001

# What the tasks sent to this process apply: every rank has its own, so that it need not travel with each task.
_function: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Mpi:
    """The processes of ``MPI.COMM_WORLD``; chunks go to whoever is free, through ``mpi4py.futures``.

    The root works too: it takes back chunks that no other rank has begun and does them itself.
    """

    @property
    def rank(self) -> int:
        """Rank in ``MPI.COMM_WORLD``."""
        return _world().rank

    @property
    def size(self) -> int:
        """Size of ``MPI.COMM_WORLD``."""
        return _world().size

    @property
    def is_root(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def map_chunks(self, function: Callable[[Task], Result], chunks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """See `Workers.map_chunks`; results arrive in no fixed order."""
        from mpi4py.futures import MPICommExecutor

        if self.size == 1:
            yield from ((chunk, function(chunk)) for chunk in chunks)
            return
        global _function
        _function = function
        try:
            with MPICommExecutor(_world(), root=0) as entered:
                executor = cast("MPIPoolExecutor | None", entered)  # mpi4py's annotation says otherwise
                if executor is not None:
                    yield from _share(executor, function, chunks)
        finally:
            _function = None

    def broadcast(self, value: Value) -> Value:
        """The root's value, pickled."""
        self._meet()
        return _world().bcast(value, root=0)

    def sum_to_root(self, values: Tensor) -> Tensor:
        """``MPI_Reduce`` in the values' own precision."""
        self._meet()
        mine = np.ascontiguousarray(values.detach().cpu().numpy())
        total = np.empty_like(mine) if self.is_root else None
        _world().Reduce(mine, total, root=0)
        return values if total is None else torch.from_numpy(total).to(values.device)

    @contextmanager
    def together(self) -> Iterator[None]:
        """See `Workers.together`: a failing rank calls ``MPI_Abort`` when it exits."""
        world = _world()
        who = world.gather(f"rank {self.rank} is process {os.getpid()} on {socket.gethostname()}", root=0)
        if who is not None:
            _log.info("%d processes: %s", self.size, ", ".join(who))
        try:
            yield
        except BaseException as error:
            from mpi4py.run import set_abort_status

            set_abort_status(2 if isinstance(error, InputError) else error if _is_exit(error) else 1)
            if not self.is_root:
                # Unusable input fails on every rank: then the root says so, once.
                time.sleep(_SECONDS_FOR_ROOT)
                _log.error("rank %d of %d fails", self.rank, self.size)
            raise

    def _meet(self) -> None:
        """Wait for the other ranks, asleep: MPI's own waiting keeps a core busy that others could use."""
        request = _world().Ibarrier()
        while not request.Test():
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _share(
    executor: MPIPoolExecutor, function: Callable[[Task], Result], chunks: Sequence[Task]
) -> Iterator[tuple[Task, Result]]:
    """Yield results as other ranks deliver them, and in between do the last chunk that nobody has begun."""
    waiting = [executor.submit(_apply, chunk) for chunk in chunks]
    open_chunks = dict(zip(waiting, chunks, strict=True))
    try:
        while open_chunks:
            for future in [future for future in open_chunks if future.done()]:
                yield open_chunks.pop(future), result_of(future.result())
            while waiting and not waiting[-1].cancel():
                waiting.pop()
            if waiting:
                chunk = open_chunks.pop(waiting.pop())
                yield chunk, function(chunk)
            elif open_chunks:
                wait(open_chunks, return_when=FIRST_COMPLETED)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _apply(chunk: Any) -> Any:
    """What runs on the other ranks."""
    assert _function is not None
    return attempt(_function, chunk, _world().rank)


def _is_exit(error: BaseException) -> bool:
    return isinstance(error, (SystemExit, KeyboardInterrupt))


@functools.cache
def _world() -> Intracomm:
    """``MPI.COMM_WORLD``, once MPI has been started and found to be the launcher's own."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"parallel=mpi: expected mpi4py and an MPI library, got: {str(error).splitlines()[0]}; "
            "pip install 'torchsag[mpi]', or load your cluster's MPI module"
        ) from error
    world, launch = MPI.COMM_WORLD, Launch.of(os.environ)
    if launch.launcher == "mpi" and launch.size > 1 and world.size == 1:
        library = MPI.Get_library_version().splitlines()[0].strip()
        raise InputError(
            f"parallel=mpi: expected {launch.size} processes, but MPI sees only one: mpiexec or srun and the MPI "
            f"library that mpi4py loads ({library}) do not belong together; use the mpiexec of its installation, or "
            "srun --mpi=pmix for Open MPI, --mpi=pmi2 for MPICH"
        )
    take_gpu(world.Split_type(MPI.COMM_TYPE_SHARED).rank)
    return world
