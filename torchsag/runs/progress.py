"""How far a long run is: a bar at a terminal, plain lines in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from torchsag.runs.job import Job, Phase, current

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 20.0


@runtime_checkable
class Advance(Protocol):
    """Tell the progress display that this many more are done."""

    def __call__(self, count: int) -> None:
        """Add `count`."""
        ...


@contextmanager
def progress(label: str, total: int, done: int = 0, visible: bool = True) -> Iterator[Advance]:
    """Show progress of `label` from `done` to `total` while the block runs, and of the whole job that it belongs to."""
    if not visible:
        yield lambda count: None
        return
    job = current()
    if job is None:
        job = Job(label, time.perf_counter())
        job.plan([Phase("", total, label)])
    job.skip(done)
    with _bar() if sys.stderr.isatty() else _lines() as show:
        yield _Steps(job, label, total, done, show)


@runtime_checkable
class _Show(Protocol):
    def __call__(self, job: Job, step: str, ended: bool) -> None: ...


class _Steps:
    def __init__(self, job: Job, label: str, total: int, done: int, show: _Show):
        self._job, self._label, self._total, self._done, self._show = job, label, total, done, show

    def __call__(self, count: int) -> None:
        self._done += count
        step = f"{self._label}: {self._done}/{self._total}"
        self._job.advance(count, step.replace(":", "").replace("/", " of "))
        self._show(self._job, step, self._done >= self._total)


@contextmanager
def _bar() -> Iterator[_Show]:
    """The whole job's, in one line that goes when the step is over: what is said of it by then stands above."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, said="")

        def show(job: Job, step: str, ended: bool) -> None:
            moment = job.moment()
            bar.update(task, description=moment.doing, completed=moment.share, said=moment.progress())

        yield show


@contextmanager
def _lines() -> Iterator[_Show]:
    """A line at most every `_SECONDS_BETWEEN_LINES`, and one at the end."""
    last = time.monotonic()

    def show(job: Job, step: str, ended: bool) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _SECONDS_BETWEEN_LINES and not ended:
            return
        last = now
        _log.info("%s, %s", step, job.moment().progress())

    yield show
