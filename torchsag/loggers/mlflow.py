"""The log for MLflow, in a database of this machine."""

from __future__ import annotations

import fcntl
import os
import re
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from torchsag.errors import InputError
from torchsag.loggers.book import Entry, Started
from torchsag.loggers.settings import flat_settings

_EXPERIMENT = "torchsag"
_LONGEST = 500  # of a parameter's value; MLflow refuses longer ones
_BATCH = 100


@dataclass(frozen=True)
class MLflowLogger:
    """Writes into ``mlflow.db`` in a folder that all jobs of a sweep share.

    ``mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`` shows it. Only the environment variable
    ``MLFLOW_TRACKING_URI`` sends the numbers elsewhere: no yaml does.

    Attributes
    ----------
    folder
        Where the database is.
    experiment
        MLflow's name for runs that belong together.
    """

    folder: str = "./mlflow"
    experiment: str = _EXPERIMENT

    def open(self, run: Started) -> _Run:
        """A run of MLflow's for a run.

        Raises
        ------
        InputError
            If mlflow is not installed.
        """
        # MLflow reports its use to its makers unless told not to.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            mlflow: Any = import_module("mlflow")
        except ImportError as error:
            raise InputError("logger=mlflow: expected mlflow; pip install 'torchsag[mlflow]'") from error
        folder = Path(self.folder).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        # Two processes that make one database, or one experiment, at a time get in each other's way.
        with (folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            client = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}")
            found = client.get_experiment_by_name(self.experiment)
            number = found.experiment_id if found else client.create_experiment(self.experiment)
        tags = {"mlflow.runName": run.out.name, "command": run.command}
        number = client.create_run(number, tags=tags).info.run_id
        book = _Run(mlflow.entities, client, number)
        book.settings(flat_settings(run.configuration))
        return book


class _Run:
    def __init__(self, entities: Any, client: Any, number: str):
        self._entities, self._client, self._number = entities, client, number

    def settings(self, found: dict[str, Any]) -> None:
        """The run's parameters."""
        listed = [self._entities.Param(_allowed(key), str(value)[:_LONGEST]) for key, value in found.items()]
        for start in range(0, len(listed), _BATCH):
            self._client.log_batch(self._number, params=listed[start : start + _BATCH])

    def keep(self, entry: Entry) -> None:
        """A metric for each number."""
        now, new = int(time.time() * 1000), self._entities.Metric
        metrics = [new(_allowed(name), value, now, entry.step) for name, value in entry.named().items()]
        self._client.log_batch(self._number, metrics=metrics)

    def close(self, finished: bool) -> None:
        """End the run."""
        self._client.set_terminated(self._number, "FINISHED" if finished else "FAILED")


def _allowed(name: str) -> str:
    """MLflow takes letters, digits and some signs."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII).strip("/")[:250]
