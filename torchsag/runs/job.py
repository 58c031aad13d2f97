"""How far a whole command is, and how long it will still take.

A command says once what it is going to do, phase by phase; whoever gets on with the work says so, without knowing what
it is a part of. The time left follows from how long the work of each kind has taken so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torchsag.loggers import Entry

# Seconds of aligning a particle before one was timed; weighs the phases of a job against each other until then.
_USUAL = 0.05


@dataclass(frozen=True)
class Phase:
    """Work of one kind.

    Attributes
    ----------
    name
        In words, as it goes on: ``iteration 2 of at most 12``.
    units
        Pieces of work, such as particles.
    kind
        Phases of one kind take equally long a piece.
    cost
        Of a piece that takes the longer the slower the method is, by what aligning one particle costs: counts until a
        phase of the kind has been measured.
    seconds
        Of a piece that takes as long whatever the method, such as a page: counts in place of `cost` until a phase of
        the kind has been measured.
    guessed
        Whether the cost says too little for a time.
    optional
        Whether the phase may be left out in the end.
    """

    name: str
    units: float | int
    kind: str
    cost: float | int = 1.0
    guessed: bool = False
    optional: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class Moment:
    """What a running command can say of itself.

    Attributes
    ----------
    command
        Its name.
    doing
        The phase, and how far that is.
    share
        Of the whole job, from 0 to 1; of the time that it takes, as far as that is known.
    elapsed_seconds
        Since the command began.
    seconds_left
        None while too little is known.
    at_most
        Whether it may end earlier, or the share is counted against the longest it may take.
    entries
        The numbers that were noted so far.
    stopped
        Why it has ended before its time; empty while it runs.
    """

    command: str
    doing: str
    share: float
    elapsed_seconds: float
    seconds_left: float | None
    at_most: bool
    entries: tuple[Entry, ...] = ()
    stopped: str = ""

    def progress(self) -> str:
        """In words: ``34 % of the job, about 4 min left``."""
        most = "at least " if self.at_most else ""
        done = f"{most}{100 * self.share:.0f} % of the job"
        if self.seconds_left is None:
            return f"{done}, time left not known yet"
        if self.seconds_left < 0.5:
            return done
        return f"{done}, {'at most' if self.at_most else 'about'} {duration(self.seconds_left)} left"


# A long run has many chunks: beyond this number every other one is forgotten, then three of four, and so on.
_MOST_CHUNKS = 1000


@runtime_checkable
class Listener(Protocol):
    """Is told when something has changed; `event` says whether more than a few pieces of work have."""

    def __call__(self, moment: Callable[[], Moment], event: bool) -> None:
        """Look at the moment, or not."""
        ...


@dataclass
class _Spent:
    seconds: float = 0.0
    units: float = 0.0


@dataclass(frozen=True)
class _Paces:
    """Seconds that pieces of work take.

    Attributes
    ----------
    measured
        By kind.
    usual
        Of a piece of cost 1, by what was measured; None before anything was.
    """

    measured: dict[str, float]
    usual: float | None

    @classmethod
    def of_phases(cls, phases: Sequence[Phase], measured: dict[str, float]) -> _Paces:
        told = {p.kind: measured[p.kind] / p.cost for p in phases if p.kind in measured and not _of_its_own(p)}
        return cls(measured, sum(told.values()) / len(told) if told else None)

    def known(self, phase: Phase) -> bool:
        """Whether a time can be told."""
        if phase.kind in self.measured or phase.seconds is not None:
            return True
        return self.usual is not None and not phase.guessed

    def of(self, phase: Phase) -> float:
        """Of a piece of a phase, as well as is known."""
        if phase.kind in self.measured:
            return self.measured[phase.kind]
        if phase.seconds is not None:
            return phase.seconds
        return phase.cost * (_USUAL if self.usual is None else self.usual)


def _of_its_own(phase: Phase) -> bool:
    """Whether how long it takes says nothing of other phases."""
    return phase.guessed or phase.seconds is not None


@dataclass
class Job:
    """A command on its way.

    Attributes
    ----------
    command
        Its name.
    began
        When, by `clock`.
    listener
        Is told of every step.
    clock
        Seconds.
    """

    command: str
    began: float
    listener: Listener | None = None
    clock: Callable[[], float] = time.perf_counter
    _phases: list[Phase] = field(default_factory=list)
    _at: int = 0
    _done: float = 0.0
    _since: float = 0.0
    _fresh: float = 0.0
    _spent: dict[str, _Spent] = field(default_factory=dict)
    _entries: list[Entry] = field(default_factory=list)
    _detail: str = ""
    _chunks: int = 0
    _every: int = 1
    _furthest: float = 0.0

    def plan(self, phases: Sequence[Phase]) -> None:
        """What is going to be done, in order."""
        self._phases, self._at, self._furthest = list(phases), 0, 0.0
        self._enter(0)
        self._tell(True)

    def begin(self, name: str, done: float | int = 0) -> None:
        """Go on to the phase of this name; those before it are over. `done` of its pieces are of an earlier run."""
        places = [at for at, phase in enumerate(self._phases) if phase.name == name and at >= self._at]
        if places:
            self._close()
            self._enter(places[0])
            self._done = done
            self._tell(False)

    def advance(self, count: float | int, detail: str = "") -> None:
        """So many pieces more are done."""
        self._done, self._fresh, self._detail = self._done + count, self._fresh + count, detail
        self._tell(False)

    def skip(self, count: float | int) -> None:
        """So many pieces of this phase were done by an earlier run."""
        self._done += count

    def hear(self, entry: Entry) -> None:
        """Numbers that were noted."""
        if entry.stage != "chunk" or self._chunks % self._every == 0:
            self._entries.append(entry)
        self._chunks += entry.stage == "chunk"
        if self._chunks > _MOST_CHUNKS * self._every:
            self._every *= 2
            self._entries = _every_other_chunk(self._entries)
        self._tell(entry.stage != "chunk")

    def moment(self, stopped: str = "") -> Moment:
        """Where it stands."""
        phase = self._phases[self._at] if self._phases else None
        left = self._seconds_left()
        doing = "" if phase is None else phase.name
        return Moment(
            self.command,
            ": ".join(filter(None, (doing, self._detail))),
            self._share(),
            self.clock() - self.began,
            left,
            any(one.optional for one in self._phases[self._at :]),
            tuple(self._entries),
            stopped,
        )

    def _enter(self, at: int) -> None:
        self._at, self._done, self._fresh, self._since, self._detail = at, 0.0, 0.0, self.clock(), ""

    def _close(self) -> None:
        """Note what the phase took; of several of a kind the last one counts."""
        if self._phases and self._fresh > 0:
            self._spent[self._phases[self._at].kind] = _Spent(self.clock() - self._since, self._fresh)

    def _share(self) -> float:
        """Part of the job that is done. It stands still, and never goes back, where the rest turns out to be longer."""
        paces = self._paces()
        whole = sum(paces.of(phase) * phase.units for phase in self._phases)
        if whole <= 0:
            return 0.0
        here = self._phases[self._at]
        done = sum(paces.of(phase) * phase.units for phase in self._phases[: self._at])
        share = min(1.0, (done + paces.of(here) * min(self._done, here.units)) / whole)
        self._furthest = max(self._furthest, share)
        return self._furthest

    def _seconds_left(self) -> float | None:
        if not self._phases:
            return None
        paces, left = self._paces(), 0.0
        for at, phase in enumerate(self._phases[self._at :]):
            if not paces.known(phase):
                return None
            done = self._done if at == 0 else 0.0
            left += paces.of(phase) * max(0.0, phase.units - done)
        here = self._phases[self._at]
        if here.units == 1 and here.seconds is not None and self._done == 0:  # in the middle of its only piece
            left -= min(paces.of(here), self.clock() - self._since)
        return left

    def _paces(self) -> _Paces:
        """What is known of how long pieces take."""
        spent = dict(self._spent)
        if self._phases and self._fresh > 0:
            spent[self._phases[self._at].kind] = self._blended(self._phases[self._at].kind)
        measured = {kind: one.seconds / one.units for kind, one in spent.items() if one.seconds > 0}
        return _Paces.of_phases(self._phases, measured)

    def _blended(self, kind: str) -> _Spent:
        """What the present phase shows so far; the one before counts less the farther this one is."""
        now = _Spent(self.clock() - self._since, self._fresh)
        before = self._spent.get(kind)
        if before is None:
            return now
        weight = max(0.0, 1 - self._fresh / max(before.units, 1e-9))
        return _Spent(now.seconds + weight * before.seconds, now.units + weight * before.units)

    def _tell(self, event: bool) -> None:
        if self.listener is not None and self._phases:
            self.listener(self.moment, event)


def _every_other_chunk(entries: list[Entry]) -> list[Entry]:
    chunks = [at for at, entry in enumerate(entries) if entry.stage == "chunk"]
    forgotten = set(chunks[1::2])
    return [entry for at, entry in enumerate(entries) if at not in forgotten]


_current: ContextVar[Job | None] = ContextVar("torchsag_job", default=None)
_within: ContextVar[bool] = ContextVar("torchsag_within_job", default=False)


@contextmanager
def opened(job: Job) -> Iterator[Job]:
    """The job that `plan`, `begin` and `advance` are about while the block runs.

    A command that is a part of another one, such as the average that a classification begins with, gets on with that
    one's job and has no plan of its own.
    """
    around = _current.get()
    if around is not None:
        token = _within.set(True)
        try:
            yield around
        finally:
            _within.reset(token)
        return
    token = _current.set(job)
    try:
        yield job
    finally:
        _current.reset(token)


def current() -> Job | None:
    """The job that is under way in this thread."""
    return _current.get()


def plan(phases: Sequence[Phase]) -> None:
    """See `Job.plan`; nothing without a job, or within another command."""
    job = _current.get()
    if job is not None and not _within.get():
        job.plan(phases)


def begin(name: str, done: float | int = 0) -> None:
    """See `Job.begin`; nothing without a job, or within another command."""
    job = _current.get()
    if job is not None and not _within.get():
        job.begin(name, done)


def advance(count: float | int, detail: str = "") -> None:
    """See `Job.advance`; nothing without a job, or within another command."""
    job = _current.get()
    if job is not None and not _within.get():
        job.advance(count, detail)


def duration(seconds: float | int) -> str:
    """In the unit that suits: ``40 s``, ``12 min``, ``3 h 20 min``, ``2 days 4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} {'day' if days == 1 else 'days'} {hours} h"
