import json

import pytest

from torchsag.verdict import Finding, Verdict

NOTE, DOUBT, WRONG = (Finding(f"a_{s}", s, f"Text of {s}.", {"number": 1.5}) for s in ("note", "doubt", "wrong"))


@pytest.mark.parametrize(
    ("findings", "trust"),
    [((), "yes"), ((None, NOTE), "yes"), ((NOTE, DOUBT), "doubt"), ((DOUBT, None, WRONG, NOTE), "no")],
)
def test_the_worst_finding_decides(findings, trust):
    assert Verdict.of(findings).trust == trust


def test_the_worst_comes_first_and_nothing_is_lost():
    verdict = Verdict.of([NOTE, WRONG, None, DOUBT])
    assert [finding.code for finding in verdict.findings] == ["a_wrong", "a_doubt", "a_note"]
    assert verdict.codes == {"a_wrong", "a_doubt", "a_note"}
    first, *rest = verdict.lines()
    assert "DO NOT TRUST" in first
    assert rest[0] == "wrong, a_wrong: Text of wrong."


def test_a_record_is_json_and_reads_back():
    verdict = Verdict.of([DOUBT, NOTE])
    record = json.loads(json.dumps(verdict.record()))
    assert record["trust"] == "doubt"
    assert set(record["findings"][0]) == {"code", "severity", "text", "evidence"}
    assert Verdict.from_record(record) == verdict


def test_a_code_is_said_once_by_the_worst_of_its_findings():
    doubt, first, second = Finding("a", "doubt", "1"), Finding("a", "wrong", "2"), Finding("a", "wrong", "3")
    other = Finding("b", "note", "4")
    assert Verdict.of([doubt, other, first, second]).findings == (first, other)
