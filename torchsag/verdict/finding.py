"""What checks find, and the verdict that their findings add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["note", "doubt", "wrong"]
Trust = Literal["yes", "doubt", "no"]

_ORDER: tuple[Severity, ...] = ("wrong", "doubt", "note")
_SENTENCES: dict[Trust, str] = {
    "yes": "verdict: no reason found to distrust this result",
    "doubt": "verdict: DOUBT, look at the findings below before you use this result",
    "no": "verdict: DO NOT TRUST this result",
}


@dataclass(frozen=True)
class Finding:
    """What one check has to say.

    Attributes
    ----------
    code
        Names the kind of finding; it never changes, so that scripts can rely on it.
    severity
        ``note``: worth knowing; ``doubt``: the result may be wrong; ``wrong``: it is.
    text
        What was seen and what to do, in a sentence or two.
    evidence
        The numbers it rests on, by name.
    """

    code: str
    severity: Severity
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """All findings of a run, the worst first.

    Attributes
    ----------
    findings
        In the order they are shown.
    """

    findings: tuple[Finding, ...] = ()

    @staticmethod
    def of(findings: Iterable[Finding | None]) -> Verdict:
        """The verdict of what some checks returned; None stands for nothing found.

        What several checks say under one code is said once, by the worst of them, or the first of equals.
        """
        found = [finding for finding in findings if finding is not None]
        codes: dict[str, Finding] = {}
        for finding in sorted(found, key=lambda finding: _ORDER.index(finding.severity)):
            codes.setdefault(finding.code, finding)
        return Verdict(tuple(codes.values()))

    @property
    def trust(self) -> Trust:
        """``no`` where anything is wrong, ``doubt`` where anything is doubted, ``yes`` otherwise."""
        worst = {finding.severity for finding in self.findings}
        return "no" if "wrong" in worst else "doubt" if "doubt" in worst else "yes"

    @property
    def codes(self) -> frozenset[str]:
        """Of all findings."""
        return frozenset(finding.code for finding in self.findings)

    def lines(self) -> tuple[str, ...]:
        """For the terminal and the page: the sum in a sentence, then a line for each finding."""
        rows = (f"{finding.severity}, {finding.code}: {finding.text}" for finding in self.findings)
        return (_SENTENCES[self.trust], *rows)

    def record(self) -> dict[str, Any]:
        """For ``metrics.json``."""
        rows = [
            {"code": f.code, "severity": f.severity, "text": f.text, "evidence": dict(f.evidence)}
            for f in self.findings
        ]
        return {"trust": self.trust, "findings": rows}

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> Verdict:
        """What `record` has made."""
        rows = record["findings"]
        return Verdict(tuple(Finding(r["code"], r["severity"], r["text"], r["evidence"]) for r in rows))
