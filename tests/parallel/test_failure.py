import pytest

from torchsag.errors import InputError
from torchsag.parallel.failure import Failure, attempt, portable, result_of


class Stubborn(Exception):
    """Cannot be rebuilt from its arguments, as happens with exceptions of other libraries."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class StubbornInput(Stubborn, InputError):
    pass


def test_a_result_passes_through():
    assert result_of(attempt(len, "abc", rank=1)) == 3


def test_an_exception_is_raised_where_the_result_is_wanted(caplog):
    answer = attempt(lambda chunk: 1 // chunk, 0, rank=1)
    assert isinstance(answer, Failure)
    with pytest.raises(ZeroDivisionError):
        result_of(answer)
    assert "rank 1 failed on 0" in caplog.text


def test_what_cannot_travel_keeps_its_message_and_kind():
    carried = portable(Stubborn("this", "that"))
    assert (type(carried), str(carried)) == (RuntimeError, "Stubborn: this and that")
    carried = portable(StubbornInput("this", "that"))
    assert (type(carried), str(carried)) == (InputError, "this and that")


def test_what_can_travel_stays_as_it_is():
    error = InputError("no such file")
    assert portable(error) is error
