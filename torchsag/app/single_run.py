"""Run one configured command in this process."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from torchsag.allocation import keep_freed_memory
from torchsag.app.callbacks import with_callbacks
from torchsag.app.catalogue import command_keys
from torchsag.app.composition import allowed_modules, compose_whole, parse, without_hydra
from torchsag.app.loading import loading
from torchsag.app.machinery import refuse_foreign_machinery
from torchsag.app.missing_files import check_files
from torchsag.app.targets import import_allowed
from torchsag.errors import InputError, printable
from torchsag.launch import Launch, threads_per_process

if TYPE_CHECKING:
    from torchsag.runs.outcome import Outcome

_HANDLER = "torchsag-command-line"


def run_one(command: str, overrides: Sequence[str]) -> int:
    """Compose, build and run; print the outcome. Returns the exit status."""
    began = time.perf_counter()
    whole, parsed = compose_whole(command, overrides), parse(overrides)
    allowed = allowed_modules(parsed)
    if whole.hydra.callbacks:
        import_allowed([f"{package}." for package in allowed], allowed)
        refuse_foreign_machinery(whole, [word.key_or_group for word in parsed], allowed, callbacks_only=True)
    config = without_hydra(command, whole)
    outcome = with_callbacks(command, whole, lambda: execute(command, config, allowed, began))
    return 0 if outcome is None else outcome.exit_status


def execute(
    command: str, config: dict[str, Any], allowed: tuple[str, ...], began: float | None = None
) -> Outcome | None:
    """Run a resolved configuration, and show and return its outcome; None on all processes but the root.

    Parameters
    ----------
    command, config, allowed
        Its name, its keys, and packages that components may be taken from.
    began
        When the user started it, by `time.perf_counter`; None for now.
    """
    began = time.perf_counter() if began is None else began
    if "parallel" not in config:
        _require_one_process(command)
    check_files(config)
    threads = config.get("threads")
    set_threads(threads_per_process() if threads is None else threads)
    keep_freed_memory()
    _log_to_stderr()
    if allowed and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a user's own package is usually being tried from its own folder
    with loading():
        from torchsag.app.components import build
        from torchsag.app.console import show
        from torchsag.app.targets import require_own_command
        from torchsag.parallel import Serial
        from torchsag.runs.provenance import Provenance

        require_own_command(command, config.get("_target_"))
        workflow = build(config, allowed, command_keys(command))
    provenance = Provenance(command, OmegaConf.to_yaml(OmegaConf.create(config)), allowed, began)
    parallel = getattr(workflow, "parallel", Serial())
    if not parallel.is_root:
        logging.getLogger("torchsag").setLevel(logging.ERROR)  # the root says it once for all
    with parallel.together():
        outcome = workflow(provenance)
    if outcome is None:
        return None
    show(outcome)
    return outcome


def _require_one_process(command: str) -> None:
    """Refuse to do the same several times over in one folder."""
    count = Launch.of(os.environ).size
    if count > 1:
        raise InputError(
            f"{command}: expected one process, got {count}; it does not share its work, so start it without mpiexec, "
            "srun or torchrun"
        )


def set_threads(threads: int | None) -> None:
    """Use this many CPU threads; None leaves the number to torch and numba."""
    if threads is None:
        return
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads: expected a whole number of at least 1, got {threads!r}")
    # Read by OpenMP, MKL and numba when they are first loaded, which is below.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    import torch

    torch.set_num_threads(threads)


class _Plain(logging.Formatter):
    """Messages may hold names of files, and those anything."""

    def format(self, record: logging.LogRecord) -> str:
        """The message without control characters."""
        return printable(super().format(record))


def _log_to_stderr() -> None:
    """Plain messages on the standard error of now, which a caller may have redirected since the last run."""
    log = logging.getLogger("torchsag")
    for handler in [h for h in log.handlers if h.name == _HANDLER]:
        log.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.name = _HANDLER
    handler.setFormatter(_Plain("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
