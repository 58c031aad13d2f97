"""What a run tells the person who started it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torchsag.runs.provenance import Provenance


@dataclass(frozen=True)
class Outcome:
    """A small table and a few sentences.

    Attributes
    ----------
    title, columns, rows
        The table, as text.
    notes
        Sentences to follow it, such as which files were written.
    merit
        What a search over settings should make small; None where nothing stands for the whole run.
    """

    title: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    merit: float | None = None


@runtime_checkable
class Workflow(Protocol):
    """A command: a frozen dataclass whose fields are its settings, and one yaml at the top of ``conf/``."""

    def __call__(self, provenance: Provenance) -> Outcome:
        """Run to the end, writing only below the output folder."""
        ...


@runtime_checkable
class Report(Protocol):
    """Turns the files of a finished run into a page: a component, one yaml under ``conf/report``."""

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` into `folder` from the files in it."""
        ...
