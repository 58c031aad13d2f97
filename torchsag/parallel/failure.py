"""Carry an exception from the rank where it happened to the root."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torchsag.errors import InputError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """An exception in place of a result."""

    error: Exception


def attempt(function: Callable[[Any], Any], chunk: Any, rank: int) -> Any:
    """The function's result, or a `Failure`; a defect's traceback is logged here, where it can be had."""
    try:
        return function(chunk)
    except Exception as error:
        if not isinstance(error, InputError):
            _log.exception("rank %d failed on %s", rank, chunk)
        return Failure(portable(error))


def result_of(answer: Any) -> Any:
    """The result that `attempt` got, on another rank; raises what it failed with."""
    if isinstance(answer, Failure):
        raise answer.error
    return answer


def portable(error: Exception) -> Exception:
    """The error itself if another process can rebuild it, else one of its kind with the same message."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever goes wrong in a foreign class's pickling, the message must arrive
        if isinstance(error, InputError):
            return InputError(str(error))
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
