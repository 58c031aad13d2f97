"""Cells that a spreadsheet cannot run."""

import pytest

from torchsag.csv_cells import cell, plain_text


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x.mrc", "@x", "'=x", "''-x", "'quoted'", "a=b", "", "it's"])
def test_texts_come_back_and_none_begins_a_formula(text):
    assert not cell(text).startswith(("=", "+", "-", "@"))
    assert plain_text(cell(text)) == text


@pytest.mark.parametrize("value", ["-1.5", "+3", "-inf", -1.5, 3, None, True])
def test_numbers_stay_numbers(value):
    assert cell(value) is value
