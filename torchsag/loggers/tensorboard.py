"""The log for TensorBoard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchsag.errors import InputError
from torchsag.loggers.book import Entry, Started


@dataclass(frozen=True)
class TensorBoardLogger:
    """Writes event files into a folder of the run's; ``tensorboard --logdir OUT`` shows all runs below OUT.

    Attributes
    ----------
    name
        Of the folder.
    """

    name: str = "tensorboard"

    def open(self, run: Started) -> _Events:
        """The events of a run.

        Raises
        ------
        InputError
            If tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError("logger=tensorboard: expected tensorboard; pip install 'torchsag[tensorboard]'") from error
        writer = SummaryWriter(str(run.out / Path(self.name).name))
        writer.add_text("configuration", f"```yaml\n{run.configuration}\n```")
        return _Events(writer)


class _Events:
    def __init__(self, writer: Any):
        self._writer = writer

    def keep(self, entry: Entry) -> None:
        """A scalar for each number."""
        for name, value in entry.named().items():
            self._writer.add_scalar(name, value, entry.step)

    def close(self, finished: bool) -> None:
        """Flush."""
        self._writer.close()
