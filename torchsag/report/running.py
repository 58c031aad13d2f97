"""The page of a command that is not done: how far it is, how long it will take, and what there is to see so far."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from torchsag.io import write_text
from torchsag.loggers import Entry
from torchsag.report.chart import Axis, Chart, Line
from torchsag.report.page import Headline, Picture, Section, Sign, render
from torchsag.report.svg_chart import panels
from torchsag.runs.job import Moment, duration


def write_running(folder: Path, title: str, moment: Moment, due: float, sections: Sequence[Section | None]) -> None:
    """``report.html`` of a command on its way, in one piece."""
    write_text(folder / "report.html", render(title, _headline(moment, due), sections))


def rows_of(moment: Moment, stage: str) -> list[Mapping[str, float]]:
    """The numbers of every entry of a stage."""
    return [entry.numbers for entry in moment.entries if entry.stage == stage]


def labelled(moment: Moment, stage: str) -> dict[str, list[Entry]]:
    """Entries of a stage by label."""
    found: dict[str, list[Entry]] = {}
    for entry in moment.entries:
        if entry.stage == stage:
            found.setdefault(entry.label, []).append(entry)
    return found


def steps_chart(groups: Mapping[str, Sequence[Entry]], quantity: str, x: str, y: str) -> Chart:
    """A quantity over the steps at which it was noted, a line for each label."""
    lines = [
        Line(
            [entry.step for entry in entries],
            [entry.numbers.get(quantity, math.nan) for entry in entries],
            label,
            colour,
            marked=len(entries) < 40,
        )
        for colour, (label, entries) in enumerate(groups.items())
    ]
    return Chart(Axis(x), Axis(y), lines=lines)


def so_far(heading: str, charts: Sequence[Chart], alt: str, text: str = "") -> Section:
    """What there is to see."""
    return Section(heading, text, [Picture(panels(charts, alt))], place="first")


def _headline(moment: Moment, due: float) -> Headline:
    spent = f"running for {duration(moment.elapsed_seconds)}"
    if moment.stopped:
        sentence = f"Stopped before its time, after {duration(moment.elapsed_seconds)}: {moment.stopped}"
        again = (
            "No result. What is finished is kept: the same command carries on, where nothing has to be mended first."
        )
        return Headline(sentence.rstrip(".") + ".", "no", [f"It was at: {moment.doing}.", again])
    sentence = f"{_capital(moment.progress())}. Not finished yet."
    return Headline(
        sentence, "running", [f"Now: {moment.doing or 'beginning'}; {spent}."], Sign(moment.share, time.time(), due)
    )


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
