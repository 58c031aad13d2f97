import datetime
import os

import pytest
from torch import distributed

from torchsag.errors import InputError
from torchsag.parallel import Workers, torchrun
from torchsag.parallel.torchrun import Torchrun


@pytest.fixture
def ranks(monkeypatch):
    """Two ranks in one process: a store, and a way to say which rank is speaking."""
    store = distributed.HashStore()
    store.set_timeout(datetime.timedelta(seconds=10))
    monkeypatch.setattr(torchrun, "_connect", lambda timeout_minutes: store)
    environment = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "LOCAL_WORLD_SIZE": "2"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def speak(rank):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        monkeypatch.setattr(torchrun, "_calls", iter([0]))
        return Torchrun()

    return speak


def test_refuses_to_work_without_torchrun(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="started by torchrun"):
        _ = Torchrun().is_root


def test_rank_and_size_are_torchruns(ranks):
    other = ranks(1)
    assert isinstance(other, Workers)
    assert (other.rank, other.size, other.is_root) == (1, 2, False)


def test_the_root_yields_what_the_other_rank_did(ranks):
    chunks = [range(2), range(3), range(5)]
    assert list(ranks(1).map_chunks(len, chunks)) == []
    assert sorted(ranks(0).map_chunks(len, chunks), key=str) == [(range(2), 2), (range(3), 3), (range(5), 5)]


def test_the_root_does_what_is_left(ranks):
    chunks = [1, 2, 3]
    root = ranks(0).map_chunks(lambda chunk: 10 * chunk, chunks)
    assert next(root) == (1, 10)
    assert list(ranks(1).map_chunks(lambda chunk: 100 * chunk, chunks)) == []
    assert list(root) == [(2, 200), (3, 300)]


def test_an_error_on_the_other_rank_is_raised_on_the_root(ranks):
    list(ranks(1).map_chunks(lambda chunk: 1 // chunk, [0]))
    with pytest.raises(ZeroDivisionError):
        list(ranks(0).map_chunks(len, [0]))


def test_after_an_error_on_the_root_nobody_begins_another_chunk(ranks):
    with pytest.raises(ZeroDivisionError):
        list(ranks(0).map_chunks(lambda chunk: 1 // chunk, [0, 1, 2]))
    done = []
    list(ranks(1).map_chunks(done.append, [0, 1, 2]))
    assert done == []


def test_the_time_to_wait_is_checked():
    with pytest.raises(InputError, match="timeout_minutes"):
        Torchrun(timeout_minutes=0.0)


@pytest.mark.parametrize(("local", "given", "expected"), [("2", None, "lo"), ("1", None, None), ("2", "eth7", "eth7")])
def test_ranks_of_one_host_listen_on_its_loopback_alone(monkeypatch, local, given, expected):
    from torchsag.parallel.torchrun import _stay_on_this_host

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", given or "")
    if given is None:
        monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    _stay_on_this_host()
    assert os.environ.get("GLOO_SOCKET_IFNAME") == expected
