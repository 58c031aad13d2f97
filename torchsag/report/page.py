"""One HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torchsag.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .15rem .9rem .15rem 0; text-align: left }
img { max-width: 100% } p.note { color: #555 }
"""


@dataclass(frozen=True)
class Section:
    """A headed part of a page: text, then a figure, then a table of label and value."""

    heading: str
    text: str = ""
    figure: Figure | None = None
    rows: Sequence[tuple[str, str]] = ()


def verdict_section(metrics: Mapping[str, Any]) -> Section | None:
    """Whether the run can be believed, for the top of its page; None where the run says nothing of it."""
    if "verdict" not in metrics:
        return None
    verdict = Verdict.from_record(metrics["verdict"])
    rows = [(f"{finding.severity}: {finding.code}", finding.text) for finding in verdict.findings]
    return Section("Verdict", verdict.lines()[0].removeprefix("verdict: ").capitalize() + ".", rows=rows)


def render(title: str, sections: Sequence[Section | None]) -> str:
    """The page as text; figures are embedded, and sections that are None are left out."""
    parts = [
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>",
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
    ]
    for section in filter(None, sections):
        parts.append(f"<h2>{html.escape(section.heading)}</h2>")
        if section.text:
            parts.append(f"<p class='note'>{html.escape(section.text)}</p>")
        if section.figure is not None:
            parts.append(f"<img alt='{html.escape(section.heading)}' src='{_embed(section.figure)}'>")
        if section.rows:
            cells = (f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in section.rows)
            parts.append(f"<table>{''.join(cells)}</table>")
    return "\n".join([*parts, "</body></html>\n"])


def _embed(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
