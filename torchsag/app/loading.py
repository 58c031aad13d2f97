"""Loading modules without Python's search for cyclic garbage, of which they make none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Switch the collector of cyclic garbage off while the block loads modules.

    Modules make a million objects that stay, which the collector would look through again and again: a fifth of the
    CPU time that torch takes to load (`experiments/benchmarks/start_up.py`). What is there at the end of the first
    such block is left alone from then on.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:
            gc.freeze()
        if was_on:
            gc.enable()
