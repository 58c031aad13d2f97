"""Make the report of a finished run again: the work behind ``torchsag report``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchsag.errors import InputError
from torchsag.runs.outcome import Outcome, Report
from torchsag.runs.provenance import Provenance


@dataclass(frozen=True)
class RebuildReport:
    """Write ``report.html`` again from the files that a run left.

    Attributes
    ----------
    out
        Folder of the finished run.
    report
        Makes the page.
    """

    out: str
    report: Report

    def __call__(self, provenance: Provenance) -> Outcome:
        """Write the page.

        Raises
        ------
        InputError
            If the folder holds no finished run.
        """
        folder = Path(self.out)
        if not folder.is_dir():
            raise InputError(f"out={folder}: expected the folder of a finished run, got no such folder")
        self.report(folder)
        return Outcome(notes=(str(folder / "report.html"),))
