import pytest

from torchsag.parallel import fair_chunk


def test_one_process_takes_the_chunk_it_was_given():
    assert fair_chunk(1000, 64, 1) == 64


@pytest.mark.parametrize(("tasks", "processes", "expected"), [(200, 2, 25), (3, 8, 1), (0, 2, 1), (100_000, 8, 64)])
def test_several_get_a_few_chunks_each(tasks, processes, expected):
    assert fair_chunk(tasks, 64, processes) == expected
