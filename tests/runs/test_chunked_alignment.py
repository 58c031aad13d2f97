import pytest

from torchsag.runs.chunked_alignment import remaining_chunks


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize("done", [[], [range(3)], [range(5, 10)], [range(6, 7), range(1, 3)], [range(10)]])
def test_remaining_chunks_cover_the_rest_exactly_once(done, chunk):
    chunks = remaining_chunks(done, 10, chunk)
    rows = [row for part in [*done, *chunks] for row in part]
    assert sorted(rows) == list(range(10))
    assert all(0 < len(part) <= chunk for part in chunks)


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("done", [[], [range(3, 5)], [range(2)], [range(6, 10), range(1, 3)]])
def test_a_part_of_the_rows(done, chunk):
    chunks = remaining_chunks(done, 8, chunk, first=2)
    known = {row for part in done for row in part}
    assert [row for part in chunks for row in part] == [row for row in range(2, 8) if row not in known]
