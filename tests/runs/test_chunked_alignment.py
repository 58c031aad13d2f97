import numpy as np
import pytest

from torchsag.runs.chunked_alignment import _columns, _Gathered, remaining_chunks


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


def test_chunks_are_gathered_in_the_order_of_their_rows_without_keeping_them():
    """Those that are done, whatever order they come in; an array of its own for none of them."""
    gathered = _Gathered(9)
    for rows in (range(6, 8), range(3)):
        columns = _columns(len(rows), None, [])
        columns["scores"][:] = list(rows)
        columns["fault"] = np.array(["", "bad"] if 6 in rows else [""] * len(rows))
        columns["stage_cpu_seconds.reading"] = np.array([0.5])
        gathered.add(rows, columns)
        columns["scores"][:] = -1
    found = gathered.columns()
    assert found["scores"].tolist() == [0, 1, 2, 6, 7]
    assert found["fault"].tolist() == ["", "", "", "", "bad"]
    assert found["fault"].dtype.kind == "U"
    assert found["covariances"].shape == (5, 6, 6)
    assert found["stage_cpu_seconds.reading"].tolist() == [1.0]
