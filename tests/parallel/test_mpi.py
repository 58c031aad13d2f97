import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from torchsag.parallel import mpi


@pytest.fixture
def world(monkeypatch):
    """The root's view of two ranks, the other one played by a thread."""
    monkeypatch.setattr(mpi, "_world", lambda: SimpleNamespace(rank=0, size=2))
    return monkeypatch


def test_every_chunk_is_done_once(world):
    world.setattr(mpi, "_function", lambda chunk: ("other", chunk))
    with ThreadPoolExecutor(1) as other:
        done = list(mpi._share(other, lambda chunk: ("root", chunk), range(50)))
    assert sorted(chunk for chunk, _ in done) == list(range(50))
    assert all(result[1] == chunk for chunk, result in done)


def test_the_root_works_while_the_other_rank_is_busy(world):
    released = threading.Event()
    world.setattr(mpi, "_function", lambda chunk: (released.wait(10), chunk)[1])
    with ThreadPoolExecutor(1) as other:
        results = mpi._share(other, lambda chunk: chunk, range(4))
        own = [next(results)[0] for _ in range(3)]
        released.set()
        assert (own, list(results)) == ([3, 2, 1], [(0, 0)])


def test_an_error_on_the_other_rank_is_raised_and_the_rest_is_not_begun(world):
    begun = []
    failed = threading.Event()

    def fail(chunk):
        begun.append(chunk)
        failed.set()
        raise ZeroDivisionError

    def wait_for_failure(chunk):
        failed.wait(10)
        return chunk

    world.setattr(mpi, "_function", fail)
    with ThreadPoolExecutor(1) as other, pytest.raises(ZeroDivisionError):
        list(mpi._share(other, wait_for_failure, [0, 1]))
    assert begun == [0]
