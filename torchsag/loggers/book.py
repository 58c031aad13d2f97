"""The numbers of a run as they come about: whoever has some notes them, and the run's logger, if any, keeps them.

What is noted are the numbers of ``metrics.json``: a chunk's medians, an iteration's row, the summary.
"""

from __future__ import annotations

import logging
import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """A run that begins.

    Attributes
    ----------
    command
        Its name.
    out
        Its folder.
    configuration
        Its settings as yaml.
    """

    command: str
    out: Path
    configuration: str


@dataclass(frozen=True)
class Entry:
    """Numbers of one moment.

    Attributes
    ----------
    stage
        ``chunk``, ``iteration``, ``round``, ``trial`` or ``summary``.
    step
        How many of that stage, of chunks how many particles, there have been.
    numbers
        By name.
    label
        What of several things at once they are about; empty where there is one.
    """

    stage: str
    step: int
    numbers: Mapping[str, float]
    label: str = ""

    def named(self) -> dict[str, float]:
        """The numbers under names that say stage and label too: ``chunk/median_score``."""
        place = "/".join(filter(None, (self.stage, self.label)))
        return {f"{place}/{name}": value for name, value in self.numbers.items()}


@runtime_checkable
class Book(Protocol):
    """Keeps the entries of one run."""

    def keep(self, entry: Entry) -> None:
        """Add one."""
        ...

    def close(self, finished: bool) -> None:
        """The run has ended, well or not."""
        ...


@runtime_checkable
class Logger(Protocol):
    """Opens a book: a frozen dataclass and one yaml under ``conf/logger``."""

    def open(self, run: Started) -> Book | None:
        """The book of a run that begins; None for none."""
        ...


@dataclass(frozen=True)
class _Watched:
    """A book, if there is one, over somebody's shoulder."""

    book: Book | None
    watch: Callable[[Entry], None]

    def keep(self, entry: Entry) -> None:
        if self.book is not None:
            _guarded(self.book.keep, entry)
        self.watch(entry)

    def close(self, finished: bool) -> None:
        if self.book is not None:
            self.book.close(finished)


@dataclass
class _Open:
    book: Book
    out: Path
    steps: dict[tuple[str, str], int] = field(default_factory=dict)


_books: list[_Open] = []


@contextmanager
def logged(logger: Logger | None, run: Started, watch: Callable[[Entry], None] | None = None) -> Iterator[None]:
    """Keep what is noted while the block runs. Runs within this one, such as a stage of it, note into the same book.

    Parameters
    ----------
    logger
        Opens the book; None for none.
    run
        The run that begins.
    watch
        Is told of every entry too.
    """
    book = None if logger is None else logger.open(run)
    book = book if watch is None else _Watched(book, watch)
    if book is None:
        yield
        return
    _books.append(_Open(book, run.out))
    finished = False
    try:
        yield
        finished = True
    finally:
        _books.pop()
        _guarded(book.close, finished)


def note(stage: str, found: Mapping[str, Any], label: str = "", advance: int = 1) -> None:
    """Note what of `found` are numbers, `advance` steps after the last of this stage and label."""
    if not _books:
        return
    here = _books[-1]
    skip(stage, advance, label)
    entry = Entry(stage, here.steps[stage, label], _finite(found), label)
    if entry.numbers:
        _guarded(here.book.keep, entry)


def skip(stage: str, count: int, label: str = "") -> None:
    """So many steps of a stage were done by an earlier run."""
    if _books:
        steps = _books[-1].steps
        steps[stage, label] = steps.get((stage, label), 0) + count


def summary(path: Path, found: Any) -> None:
    """Note the summary that is about to stand in `path`, if it is the run's own."""
    if not _books or _books[-1].out not in (path.parent, path.parent.parent):
        return
    for row in found if isinstance(found, list) else [found]:
        if isinstance(row, Mapping):
            note("summary", row, "/".join(str(row[key]) for key in ("trial", "method") if key in row))


def _guarded(action: Any, value: Any) -> None:
    """What keeps notes must not cost the run that it is about."""
    try:
        action(value)
    except Exception as error:
        _log.warning("logger: %s: %s; the run goes on", type(error).__name__, error)


def _finite(found: Mapping[str, Any]) -> dict[str, float]:
    return {
        str(name): float(value)
        for name, value in found.items()
        if isinstance(value, numbers.Real) and math.isfinite(value)
    }
