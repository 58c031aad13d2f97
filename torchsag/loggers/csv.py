"""The log as a table."""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass
from pathlib import Path

from torchsag.csv_cells import cell
from torchsag.loggers.book import Entry, Started

_COLUMNS = ("seconds", "stage", "label", "step", "quantity", "value")


@dataclass(frozen=True)
class CSVLogger:
    """Writes ``log.csv`` into the run's folder: a row for each number; a run that carries on adds to it.

    Attributes
    ----------
    name
        Of the file.
    """

    name: str = "log.csv"

    def open(self, run: Started) -> _Table:
        """The table of a run."""
        run.out.mkdir(parents=True, exist_ok=True)
        return _Table(run.out / Path(self.name).name)


class _Table:
    def __init__(self, path: Path):
        self._path, self._start = path, time.perf_counter()
        if not path.exists():
            self._write([_COLUMNS])

    def keep(self, entry: Entry) -> None:
        """Append a row for each number."""
        seconds = f"{time.perf_counter() - self._start:.3f}"
        place = (seconds, entry.stage, cell(entry.label), entry.step)
        self._write([(*place, cell(name), f"{value:.6g}") for name, value in entry.numbers.items()])

    def close(self, finished: bool) -> None:
        """Every row is written already."""

    def _write(self, rows) -> None:
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
