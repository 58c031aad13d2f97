"""The log for Weights & Biases, kept on this machine until it is synchronised."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torchsag.errors import InputError
from torchsag.loggers.book import Entry, Started
from torchsag.loggers.settings import flat_settings


@dataclass(frozen=True)
class WandbLogger:
    """Writes an offline run into ``wandb/`` in the run's folder; ``wandb sync`` sends it where you are logged in.

    Only the environment variable ``WANDB_MODE=online`` sends numbers while a run lasts: no yaml does.

    Attributes
    ----------
    project
        Weights & Biases' name for runs that belong together.
    """

    project: str = "torchsag"

    def open(self, run: Started) -> _Run:
        """A run of Weights & Biases for a run.

        Raises
        ------
        InputError
            If wandb is not installed.
        """
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_SILENT", "true")
        try:
            wandb: Any = import_module("wandb")
        except ImportError as error:
            raise InputError("logger=wandb: expected wandb; pip install 'torchsag[wandb]'") from error
        run.out.mkdir(parents=True, exist_ok=True)
        made = wandb.init(
            project=self.project,
            name=run.out.name,
            dir=str(run.out),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config={"command": run.command, **flat_settings(run.configuration)},
            settings=wandb.Settings(disable_git=True, x_disable_stats=True, console="off", save_code=False),
            reinit="create_new",
        )
        return _Run(made)


class _Run:
    def __init__(self, run: Any):
        self._run, self._axes = run, set()

    def keep(self, entry: Entry) -> None:
        """The numbers, over their own stage's steps: wandb has one count of steps for everything."""
        axis = f"{entry.stage}/step"
        if entry.stage not in self._axes:
            self._axes.add(entry.stage)
            self._run.define_metric(f"{entry.stage}/*", step_metric=axis)
        self._run.log({**entry.named(), axis: entry.step})

    def close(self, finished: bool) -> None:
        """End the run."""
        self._run.finish(exit_code=0 if finished else 1)
