"""The page of a benchmark's score sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchsag.bench.sheet import Sheet
from torchsag.bench.task import EDITION
from torchsag.io import write_text
from torchsag.report.page import Headline, Section, Table, render

_COLUMNS = ("measure", "value", "95 % interval")


@dataclass(frozen=True)
class BenchmarkPage:
    """Every measure of every task with its interval.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Score sheet"

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` from the ``sheet.json`` in `folder`.

        Raises
        ------
        InputError
            If there is none.
        """
        sheet = Sheet.read(folder)
        lines = list(sheet.lines())
        sections = [
            Section(
                task,
                table=Table(f"{record['particles']} particles", _COLUMNS, [row for at, *row in lines if at == task]),
            )
            for task, record in sheet.tasks.items()
        ]
        about = [(key, str(value)) for key, value in sheet.about.items()]
        sections.append(Section("About", rows=[*about, ("edition of the benchmark", str(EDITION))], place="folded"))
        headline = Headline(f"{sheet.name}: {len(sheet.tasks)} of the benchmark's tasks")
        write_text(folder / "report.html", render(f"{self.title}: {sheet.name}", headline, sections))
