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
        try:
            self.report(folder)
        # The page takes what a run has written as it is; whoever has changed it since hears which part does not fit.
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            said = " ".join(f"{type(error).__name__}: {error}".split())[:120]
            raise InputError(
                f"out={folder}: expected the files of a finished run of this version, got others ({said}); repeat the "
                "run's command"
            ) from error
        return Outcome(notes=(str(folder / "report.html"),))
