"""What ``torchsag extract`` is about to do, whether it cuts volumes out of tomograms or images out of tilt series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torchsag.runs.checkpoint import Columns


@runtime_checkable
class Writer(Protocol):
    """Cuts and writes entries of a list; sent to the processes that share the work."""

    @property
    def numbers(self) -> Sequence[int]:
        """Which entry of the list each row is, from zero."""
        ...

    def __call__(self, rows: range) -> Columns:
        """Cut and write `rows`; ``fault`` says what is wrong with those that could not be used."""
        ...

    def file(self, row: int) -> Path:
        """What is written for a row."""
        ...

    def marks(self) -> list[str]:
        """By what a resumed run knows each row: its entry, its place and its source as it is now."""
        ...


@runtime_checkable
class ListWriter(Protocol):
    """Writes the list of what was cut."""

    def __call__(self, out: Path, kept: Sequence[int], columns: Columns) -> tuple[str, ...]:
        """Write the list of some rows; returns the names of its files, the one to go on with first."""
        ...


@dataclass(frozen=True)
class Plan:
    """All that is known before the first box is cut.

    Attributes
    ----------
    writer
        Cuts.
    write_list
        Writes the list in the end.
    outside
        A sentence for each entry that lies outside.
    listed
        Entries of the list.
    bytes_each
        Size of one file.
    sources
        Tomograms that are cut.
    figures
        For metrics.json.
    """

    writer: Writer
    write_list: ListWriter
    outside: list[str]
    listed: int
    bytes_each: int
    sources: int
    figures: dict[str, float | int]
