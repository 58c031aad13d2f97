"""The page of a command that is still running, rewritten as it gets on."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from torchsag.errors import InputError
from torchsag.runs.job import Job, Moment, opened

_log = logging.getLogger(__name__)

_PAGE = "report.html"
# What an earlier, finished run has left, while this one is not done.
_BEFORE = ".report-before.html"
_SECONDS_BETWEEN_PAGES = 30.0
# A page may take this part of the time since the last one.
_MOST = 0.005
# A page is overdue after so many of the longest gaps between two.
_PATIENCE = 3.0


@runtime_checkable
class LiveReport(Protocol):
    """A report that can also show a run that is not finished."""

    def running(self, folder: Path, moment: Moment, due: float) -> None:
        """Write ``report.html`` into `folder` in one piece; another is due before `due`, seconds since the epoch."""
        ...


@dataclass
class LivePage:
    """Writes the page after every event such as an iteration, and else every half minute; never for much of the time.

    Attributes
    ----------
    report
        Makes the page.
    folder
        Where the command writes.
    clock
        Seconds.
    """

    report: LiveReport
    folder: Path
    clock: Callable[[], float] = time.perf_counter
    _last: float | None = None
    _cost: float = 0.0
    _longest: float = field(default=_SECONDS_BETWEEN_PAGES)
    _broken: bool = False

    def __call__(self, moment: Callable[[], Moment], event: bool) -> None:
        """Write, if it is time."""
        now = self.clock()
        if self._last is None:
            self._keep_earlier()
        elif now - self._last < max(self._cost / _MOST, 0.0 if event else _SECONDS_BETWEEN_PAGES):
            return
        else:
            self._longest = max(self._longest, now - self._last)
        self._write(moment())
        self._last = self.clock()
        self._cost = self._last - now

    def close(self, stopped: Callable[[], Moment] | None) -> None:
        """The command has ended, well or, with a reason, not."""
        before = self.folder / _BEFORE
        if self._last is None:
            return
        if stopped is None:
            before.unlink(missing_ok=True)
        elif before.exists():
            os.replace(before, self.folder / _PAGE)
        else:
            self._write(stopped())

    def _keep_earlier(self) -> None:
        """The page of a finished run comes back if this one fails."""
        page = self.folder / _PAGE
        if page.is_file() and (self.folder / "metrics.json").is_file() and not (self.folder / _BEFORE).exists():
            os.replace(page, self.folder / _BEFORE)

    def _write(self, moment: Moment) -> None:
        if self._broken:
            return
        try:
            self.report.running(self.folder, moment, time.time() + _PATIENCE * self._longest)
        except Exception as error:  # a page must not cost the run that it is about
            self._broken = True
            _log.warning("report: %s: %s; the run goes on without a page", type(error).__name__, error)


@contextmanager
def live(job: Job, report: object, folder: Path) -> Iterator[Job]:
    """Make `job` the one that work belongs to while the block runs, and show it on a page if the report can."""
    page = LivePage(report, folder) if isinstance(report, LiveReport) else None
    with opened(job) as here:
        if here is not job:  # a part of another command, which has a page of its own
            yield here
            return
        job.listener = page
        try:
            yield job
        except BaseException as error:
            reason = _reason(error)
            if page is not None:
                page.close(lambda: job.moment(reason))
            raise
        if page is not None:
            page.close(None)


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
