"""One HTML file that needs nothing beside it: verdict, then what matters most, then the rest, bookkeeping folded."""

from __future__ import annotations

import base64
import hashlib
import html
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from torchsag.report.wording import digits
from torchsag.verdict import Verdict

Spot = Literal["first", "body", "folded"]
_ICON = "data:,"  # or a browser asks the server for one


@dataclass(frozen=True)
class Picture:
    """Something to look at, and what is to be known beside it.

    Attributes
    ----------
    markup
        As it goes into the page, made by `torchsag.report.svg_chart` or `torchsag.report.pictures`: what it shows is
        said in it to those who cannot see it, and what came from outside is escaped.
    caption
        Beneath it.
    scripts
        That bring it to life, in order; a page holds each once.
    """

    markup: str
    caption: str = ""
    scripts: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """Many rows under a line of headings; a browser with scripts sorts it by any column.

    Attributes
    ----------
    caption
        What it is a table of.
    columns
        Headings, with units.
    rows
        Numbers and texts; None leaves a cell empty.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Section:
    """A headed part of a page.

    Attributes
    ----------
    heading, text
        In words.
    pictures
        One below another.
    points
        A list.
    rows
        Pairs of label and value.
    table
        Many rows.
    place
        ``first``: beside others on the first screen; ``folded``: closed until someone opens it.
    """

    heading: str
    text: str = ""
    pictures: Sequence[Picture] = ()
    points: Sequence[str] = ()
    rows: Sequence[tuple[str, str]] = ()
    table: Table | None = None
    place: Spot = "body"


@dataclass(frozen=True)
class Headline:
    """The verdict in a sentence.

    Attributes
    ----------
    sentence
        Whether the result can be believed, or what came out.
    trust
        ``yes``, ``doubt``, ``no``, ``running``, or nothing where the run does not judge itself.
    findings
        What the sentence rests on.
    sign
        Of life, where the run goes on; None where it has ended.
    """

    sentence: str
    trust: str = ""
    findings: Sequence[str] = ()
    sign: Sign | None = None


@dataclass(frozen=True)
class Sign:
    """Of life: what tells a page of a running command from that of a killed one.

    Attributes
    ----------
    share
        Of the job that is done, from 0 to 1.
    written, due
        When the page was, and when another is at the latest, if the command is alive; seconds since the epoch.
    """

    share: float
    written: float
    due: float


def verdict_headline(metrics: Mapping[str, Any], result: str) -> Headline:
    """Whether the run can be believed, and the `result` in a clause beside it."""
    if "verdict" not in metrics:
        return Headline(_sentence(result))
    verdict = Verdict.from_record(metrics["verdict"])
    said = _sentence(verdict.lines()[0].removeprefix("verdict: "))
    findings = [f"{finding.severity.capitalize()}: {finding.text}." for finding in verdict.findings]
    if verdict.trust == "no":
        result = "no number on this page is to be quoted"
    return Headline(f"{said} {_sentence(result)}".strip(), verdict.trust, findings)


def render(title: str, headline: Headline, sections: Sequence[Section | None]) -> str:
    """The page as text; sections that are None are left out.

    Everything is escaped, and a policy in the page forbids the browser to load anything or to run any other script.
    """
    shown = [section for section in sections if section is not None]
    style = _own("style.css")
    scripts = [_own("sort.js"), *([] if headline.sign is None else [_own("live.js")])]
    scripts += dict.fromkeys(script for section in shown for picture in section.pictures for script in picture.scripts)
    allowed = " ".join(_digest(script) for script in scripts)
    policy = f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {allowed}"
    first = "".join(_section(section) for section in shown if section.place == "first")
    parts = [
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>",
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}; base-uri 'none'; form-action 'none'\">",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{html.escape(title)}</title><link rel='icon' href='{_ICON}'>",
        f"<style>{style}</style></head><body><main>",
        f"<h1>{html.escape(title)}</h1>",
        _headline(headline),
        f"<div class='first'>{first}</div>" if first else "",
        *(_section(section) for section in shown if section.place == "body"),
        *(_section(section) for section in shown if section.place == "folded"),
        "</main>",
        *(f"<script>{script}</script>" for script in scripts),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _headline(headline: Headline) -> str:
    return (
        f"<div class='verdict {html.escape(headline.trust)}'><h2>{html.escape(headline.sentence)}</h2>"
        f"{_sign(headline.sign)}{_points(headline.findings)}</div>"
    )


def _sign(sign: Sign | None) -> str:
    """A bar, when the page was written, and what it means if it is not written again; ``live.js`` looks after it."""
    if sign is None:
        return ""
    written, due = (time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment)) for moment in (sign.written, sign.due))
    percent = f"{100 * sign.share:.0f}"
    return (
        f"<progress max='100' value='{percent}' aria-label='Share of the job that is done'>{percent} %</progress>"
        f"<p id='live' data-written='{sign.written:.0f}' data-due='{sign.due:.0f}'>This page was written on {written}"
        "<span id='age'></span> and is written again as the command gets on. "
        "<label hidden><input type='checkbox' id='again'> Load it again by itself</label></p>"
        "<p id='late' role='status' hidden>The command has been stopped or killed, or its computer is down. What "
        "follows was so when it was last heard of.</p>"
        f"<p class='soft'>If it is later than {due} and the page is still the same, the command has been stopped or "
        "killed: the same command carries on from what is finished.</p>"
    )


def _own(name: str) -> str:
    return files("torchsag.report").joinpath(name).read_text("utf-8")


def _section(section: Section) -> str:
    heading = f"<h2>{html.escape(section.heading)}</h2>"
    body = [f"<p class='soft'>{html.escape(section.text)}</p>"] if section.text else []
    drawn = "".join(_picture(picture) for picture in section.pictures)
    body.append(f"<div class='figures'>{drawn}</div>" if len(section.pictures) > 1 else drawn)
    body.append(_points(section.points))
    if section.rows:
        cells = (f"<tr><th scope='row'>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in section.rows)
        body.append(f"<table>{''.join(cells)}</table>")
    if section.table is not None:
        body.append(_table(section.table))
    inside = "".join(body)
    if section.place == "folded":
        return f"<details><summary>{heading}</summary>{inside}</details>"
    return f"<section>{heading}{inside}</section>"


def _points(points: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(point)}</li>' for point in points)}</ul>" if points else ""


def _picture(picture: Picture) -> str:
    caption = f"<figcaption>{html.escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<figure>{picture.markup}{caption}</figure>"


def _table(table: Table) -> str:
    numeric = [
        all(isinstance(row[at], (int, float, type(None))) for row in table.rows) for at in range(len(table.columns))
    ]
    classes = [" class='number'" if each else "" for each in numeric]
    head = "".join(f"<th scope='col'{c}>{_breakable(n)}</th>" for c, n in zip(classes, table.columns, strict=True))
    rows = (
        "".join(f"<td{c}>{html.escape(_cell(value))}</td>" for c, value in zip(classes, row, strict=True))
        for row in table.rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    name = html.escape(table.caption)
    return (
        f"<p class='soft'>{name}</p><div class='scroll' tabindex='0' role='region' aria-label='{name}'>"
        f"<table class='sortable' aria-label='{name}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _breakable(heading: str) -> str:
    """A key such as ``method.search.max_shift`` may go on in the next line after a dot."""
    return html.escape(heading).replace(".", ".<wbr>")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return digits(value) if isinstance(value, float) else str(value)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
