"""Ranks played by threads: `Workers` to test what several processes do together, without starting any."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field


class _Board:
    """What the threads share."""

    def __init__(self, size):
        self.barrier = threading.Barrier(size, timeout=60)
        self.value = None
        self.parts = [None] * size
        self.results = []
        self.lock = threading.Lock()


@dataclass(frozen=True)
class ThreadRank:
    """Chunk i goes to rank ``i % size``."""

    rank: int
    size: int
    board: _Board = field(repr=False)

    @property
    def is_root(self):
        return self.rank == 0

    def map_chunks(self, function, chunks):
        for number in range(self.rank, len(chunks), self.size):
            result = function(chunks[number])
            with self.board.lock:
                self.board.results.append((number, chunks[number], result))
        self.board.barrier.wait()
        gathered = sorted(self.board.results, key=lambda entry: entry[0])
        self.board.barrier.wait()
        if self.is_root:
            self.board.results = []
        self.board.barrier.wait()
        if self.is_root:
            for _, chunk, result in gathered:
                yield chunk, result

    def broadcast(self, value):
        if self.is_root:
            self.board.value = value
        self.board.barrier.wait()
        received = self.board.value
        self.board.barrier.wait()
        return received

    def sum_to_root(self, values):
        self.board.parts[self.rank] = values
        self.board.barrier.wait()
        total = sum(self.board.parts)
        self.board.barrier.wait()
        return total if self.is_root else values

    def together(self):
        return nullcontext()


def on_ranks(size: int, work: Callable):
    """What `work` returns on each rank, given that rank's workers; an error on any rank is raised."""
    board = _Board(size)
    results, errors = [None] * size, []

    def run(rank):
        try:
            results[rank] = work(ThreadRank(rank, size, board))
        except BaseException as error:
            errors.append(error)
            board.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
