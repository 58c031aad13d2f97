"""One process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import Tensor

from torchsag.parallel.workers import Result, Task, Value


@dataclass(frozen=True)
class Serial:
    """All work in this process, in order."""

    @property
    def rank(self) -> int:
        """Always 0."""
        return 0

    @property
    def size(self) -> int:
        """Always 1."""
        return 1

    @property
    def is_root(self) -> bool:
        """Always true."""
        return True

    def map_chunks(self, function: Callable[[Task], Result], chunks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Apply `function` to one chunk after another."""
        for chunk in chunks:
            yield chunk, function(chunk)

    def broadcast(self, value: Value) -> Value:
        """The value itself."""
        return value

    def sum_to_root(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values

    def together(self) -> AbstractContextManager[None]:
        """Nothing to do."""
        return nullcontext()
