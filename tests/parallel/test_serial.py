import pytest

from torchsag.parallel import Serial, Workers


def test_serial_is_one_root_that_works_in_order():
    workers = Serial()
    assert isinstance(workers, Workers)
    assert (workers.rank, workers.size, workers.is_root) == (0, 1, True)
    assert list(workers.map_chunks(len, [range(2), range(5)])) == [(range(2), 2), (range(5), 5)]
    assert workers.broadcast("x") == "x"


def test_results_arrive_one_at_a_time():
    started = []

    def work(chunk):
        started.append(chunk)
        return chunk

    results = Serial().map_chunks(work, [1, 2])
    assert next(results) == (1, 1)
    assert started == [1]


def test_an_exception_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(Serial().map_chunks(lambda chunk: 1 // chunk, [1, 0]))
