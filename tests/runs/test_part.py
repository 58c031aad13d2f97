import pytest

from torchsag.errors import InputError
from torchsag.runs.part import Part


@pytest.mark.parametrize(("count", "total"), [(10, 1), (10, 3), (7, 7), (2, 5), (1000, 64)])
def test_parts_have_every_row_once_and_about_as_many(count, total):
    parts = [Part.parse(f"{number}/{total}").rows(count) for number in range(1, total + 1)]
    assert [row for rows in parts for row in rows] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "a/b", "1/0", "-1/3", "1/3/5"])
def test_other_parts_are_refused(text):
    with pytest.raises(InputError, match="expected a number and a total such as 3/8"):
        Part.parse(text)
