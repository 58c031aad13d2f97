"""How the C library gives memory back: not at once, as what a chunk of particles needs is what the next one needs.

Left alone, glibc returns every large block to the operating system when it is freed and asks for fresh pages a moment
later, each of which is then cleared: a tenth of the CPU time of an average (measured).
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT = 256 * 2**20  # bytes; larger blocks, and more than this at the top of the heap, go back as ever


def keep_freed_memory() -> bool:
    """Let this process keep what it has freed for its next use; whether the C library can be told to."""
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(tell(which, _KEPT) == 1 for which in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
