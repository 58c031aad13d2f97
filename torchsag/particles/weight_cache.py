"""Weights that several particles share are read and interpreted once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

from torchsag.particles.weighting import WeightAction


class WeightCache:
    """The most recently used weights, up to a number of bytes; safe to use from several threads.

    Parameters
    ----------
    limit_bytes
        Memory to keep. The most recent weight always stays.
    """

    def __init__(self, limit_bytes: int = 256 * 2**20):
        self._limit = limit_bytes
        self._held: OrderedDict[Hashable, WeightAction] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._held)

    def __reduce__(self):
        # A copy sent to another process starts empty: weights are cheaper to read than to send.
        return WeightCache, (self._limit,)

    def get(self, key: Hashable, make: Callable[[], WeightAction]) -> WeightAction:
        """The weight kept under `key`, made on first use."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        made = make()
        with self._lock:
            if key not in self._held:
                self._held[key] = made
                self._bytes += _size(made)
            while self._bytes > self._limit and len(self._held) > 1:
                self._bytes -= _size(self._held.popitem(last=False)[1])
        return made


def _size(whitening: WeightAction) -> int:
    shared = whitening.factor is whitening.weight
    return whitening.weight.nbytes + (0 if shared else whitening.factor.nbytes)
