"""Cells of comma-separated tables that a spreadsheet cannot take for formulas.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@``; a name in a list from elsewhere may begin so.
Source: OWASP, CSV injection.
"""

from __future__ import annotations

from typing import Any

_STARTS = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> Any:
    """The value, with an apostrophe in front if it is a text that would be a formula; numbers stay as they are."""
    if not isinstance(value, str) or not value.startswith((*_STARTS, "'")) or _is_number(value):
        return value
    if value.startswith("'") and not value.lstrip("'").startswith(_STARTS):
        return value
    return f"'{value}"


def plain_text(text: str) -> str:
    """What a cell of `cell` stands for."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_STARTS) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
