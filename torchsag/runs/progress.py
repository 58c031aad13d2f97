"""How far a long run is: a bar at a terminal, plain lines in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 20.0


class Advance(Protocol):
    """Tell the progress display that this many more are done."""

    def __call__(self, count: int) -> None:
        """Add `count`."""
        ...


@contextmanager
def progress(label: str, total: int, done: int = 0, visible: bool = True) -> Iterator[Advance]:
    """Show progress of `label` from `done` to `total` while the block runs."""
    if not visible:
        yield lambda count: None
    elif sys.stderr.isatty():
        with _bar(label, total, done) as advance:
            yield advance
    else:
        yield _Lines(label, total, done)


@contextmanager
def _bar(label: str, total: int, done: int) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=False
    ) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda count: bar.advance(task, count)


class _Lines:
    """A line at most every `_SECONDS_BETWEEN_LINES`, and one at the end."""

    def __init__(self, label: str, total: int, done: int):
        self._label, self._total, self._done, self._began = label, total, done, done
        self._start = self._last = time.monotonic()

    def __call__(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES and self._done < self._total:
            return
        self._last = now
        rate = (self._done - self._began) / max(now - self._start, 1e-9)
        left = (self._total - self._done) / rate if rate else float("nan")
        _log.info("%s: %d/%d, %.1f per second, %.0f s left", self._label, self._done, self._total, rate, left)
