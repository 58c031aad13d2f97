"""What a run tells the person who started it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torchsag.runs.provenance import Provenance
from torchsag.verdict import Verdict


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
    verdict
        Whether the result can be believed; None for commands that claim nothing.
    strict
        Whether anything but trust shall show in the command's exit status.
    """

    title: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    merit: float | None = None
    verdict: Verdict | None = None
    strict: bool = False

    @property
    def exit_status(self) -> int:
        """0, or 3 for a result that is not to be trusted where the user has asked to be told so."""
        trusted = self.verdict is None or self.verdict.trust == "yes"
        return 0 if trusted or not self.strict else 3


def files_made(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Paths of those files of a run that are there, its page first."""
    return tuple(str(folder / name) for name in ("report.html", *names) if (folder / name).exists())


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
