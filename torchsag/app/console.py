"""Show a run's outcome at the terminal."""

import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from torchsag.errors import printable
from torchsag.runs.outcome import Outcome


def show(outcome: Outcome) -> None:
    """Print the outcome's table, its notes and, last, its verdict to standard output."""
    # What reads a pipe can wrap by itself; a table squeezed into 80 columns is lost.
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    if outcome.rows:
        table = Table(title=outcome.title, title_justify="left")
        for index, column in enumerate(outcome.columns):
            table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
        for row in outcome.rows:
            table.add_row(*map(escape, map(printable, row)))
        console.print(table)
    for note in outcome.notes:
        console.print(printable(note), highlight=False, markup=False)
    for line in () if outcome.verdict is None else outcome.verdict.lines():
        console.print(printable(line), highlight=False, markup=False)
