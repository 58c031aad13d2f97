"""Where the time goes: named stages, counted only while somebody is listening.

Any layer may mark a stage; a workflow collects::

    with StageClock() as clock:
        with stage("search"):
            ...
    clock.cpu_seconds["search"]

A GPU computes later than it is asked to: while somebody listens, it is waited for at both ends of a stage, so that each
pays for its own work.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

_listening: ContextVar[StageClock | None] = ContextVar("stage_clock", default=None)


class StageClock:
    """Collects the CPU seconds (all threads of this process) and wall seconds of every stage while it is entered."""

    def __init__(self):
        self.cpu_seconds: defaultdict[str, float] = defaultdict(float)
        self.wall_seconds: defaultdict[str, float] = defaultdict(float)
        self._token: Token[StageClock | None] | None = None

    def __enter__(self) -> StageClock:
        self._token = _listening.set(self)
        return self

    def __exit__(self, *exception) -> None:
        if self._token is not None:
            _listening.reset(self._token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count what happens inside as the stage `name`; stages may nest, each counts its whole time."""
    clock = _listening.get()
    if clock is None:
        yield
        return
    _wait_for_gpu()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        yield
    finally:
        _wait_for_gpu()
        clock.cpu_seconds[name] += time.process_time() - cpu
        clock.wall_seconds[name] += time.perf_counter() - wall


def _wait_for_gpu() -> None:
    """Until the GPU in use, if there is one, has done what it was asked to; one that nobody uses is left alone."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
