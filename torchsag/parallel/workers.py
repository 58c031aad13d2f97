"""What a workflow asks of the processes that share its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor

Task = TypeVar("Task")
Result = TypeVar("Result")
Value = TypeVar("Value")

# With four shares each, a process that is a fifth slower than the others keeps them waiting for little.
_SHARES = 4


@runtime_checkable
class Workers(Protocol):
    """One or many processes running the same program: every rank makes the same calls in the same order."""

    @property
    def rank(self) -> int:
        """This process's number, 0 to ``size - 1``."""
        ...

    @property
    def size(self) -> int:
        """How many processes there are."""
        ...

    @property
    def is_root(self) -> bool:
        """Whether this is the one process that writes files and shows progress."""
        ...

    def map_chunks(self, function: Callable[[Task], Result], chunks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Apply `function` to every chunk, each on some rank.

        On the root this yields ``(chunk, result)`` for every chunk, as results arrive; on the other ranks it does
        their share and yields nothing. It must be exhausted on every rank. The first exception on any rank is raised
        on the root.
        """
        ...

    def broadcast(self, value: Value) -> Value:
        """The root's value, on every rank."""
        ...

    def sum_to_root(self, values: Tensor) -> Tensor:
        """The sum of all ranks' `values`, on the root; on the other ranks, nothing of use."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """While this holds, an exception that leaves it on one rank ends the program on all."""
        ...


def fair_chunk(tasks: int, most: int, processes: int) -> int:
    """Tasks in a chunk: `most` for one process, for several few enough that all finish at about the same time."""
    return most if processes == 1 else max(1, min(most, -(-tasks // (_SHARES * processes))))
