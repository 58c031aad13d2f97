"""False alarms and misses of the checks behind every verdict, on simulations.

    python experiments/benchmarks/verdicts.py [--good 200] [--bad 50] [--minutes 14]

Checks are functions of arrays, so most need no whole run: a good case is a simulated sample of particles, a pair of
half-maps, a map or orientations as they should be; a bad case has the one fault that the check is for (see
``verdict_cases.py`` beside this file). `alarms` counts good cases with any code at the severity doubt or wrong,
`missed` bad cases without their code; with exact intervals of 95 % (Clopper and Pearson). Seeds begin at 5000:
thresholds were set on others. The result is a JSON file beside this one, to which further cases are added; a kind that
is missing from it, or has fewer cases than asked for, goes on. The row of a kind whose rule is changed has to be
removed from it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from verdict_cases import BAD, GOOD, Case

from torchsag.evaluation.confidence import exact_share_interval
from torchsag.runs.provenance import versions
from torchsag.verdict import Finding
from torchsag.verdict.contrast import DarkAverage

FIRST_SEED = 5000
_BLOCK = 10


def serious(findings: Iterable[Finding | None]) -> set[str]:
    """Codes at doubt or wrong, and that of an average of dark particles, which is no fault."""
    found = [finding for finding in findings if finding is not None]
    return {finding.code for finding in found if finding.severity != "note" or finding.code == DarkAverage.code}


def more_good(case: Case, row: dict[str, Any], count: int) -> dict[str, Any]:
    """The row of a good kind with further cases, up to `count`."""
    row = {"cases": 0, "alarms": 0, "seeds": {}, **row}
    for seed in range(FIRST_SEED + row["cases"], FIRST_SEED + count):
        codes = sorted(serious(case(seed)))
        row["cases"] += 1
        row["alarms"] += bool(codes)
        row["seeds"] |= {str(seed): codes} if codes else {}
    return {**row, "alarms_95_percent": exact_share_interval(row["alarms"], row["cases"])}


def more_bad(name: str, case: Case, row: dict[str, Any], count: int) -> dict[str, Any]:
    """The same of a bad kind; what was said in place of its code is kept, too."""
    wanted = set(name.partition(" (")[0].split(" or "))
    row = {"cases": 0, "missed": 0, "others": {}, "seeds": {}, **row}
    for seed in range(FIRST_SEED + row["cases"], FIRST_SEED + count):
        codes = serious(case(seed))
        row["cases"] += 1
        if not codes & wanted:
            row["missed"] += 1
            row["seeds"] |= {str(seed): sorted(codes)}
        for code in codes - wanted:
            row["others"] |= {code: row["others"].get(code, 0) + 1}
    return {**row, "missed_95_percent": exact_share_interval(row["missed"], row["cases"])}


def together(rows: Iterable[dict[str, Any]], count: str) -> dict[str, Any]:
    """All kinds as one: `count` is what is counted, alarms or missed."""
    rows = list(rows)
    cases, found = sum(row["cases"] for row in rows), sum(row[count] for row in rows)
    return {"cases": cases, count: found, f"{count}_95_percent": exact_share_interval(found, cases)}


def main() -> None:
    """Go on where the JSON ends, until all cases are there or the time is out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--good", type=int, default=200, help="good cases of each kind")
    parser.add_argument("--bad", type=int, default=50, help="bad cases of each kind")
    parser.add_argument("--minutes", type=float, default=14.0, help="stop after so long; the next call goes on")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, spent_before = time.monotonic(), time.process_time()
    known = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    good: dict[str, dict] = known.get("good", {})
    bad: dict[str, dict] = known.get("bad", {})
    spent = known.get("cpu_seconds", 0)

    def keep() -> None:
        seconds = spent + round(time.process_time() - spent_before)
        what = str(__doc__).splitlines()[0]
        result = {
            "what": what,
            "versions": versions(),
            "cpu_seconds": seconds,
            "good_together": together(good.values(), "alarms"),
            "bad_together": together(bad.values(), "missed"),
            "good": good,
            "bad": bad,
        }
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    # All kinds grow together, so that a run that was stopped says something of each.
    for goal in range(_BLOCK, max(options.good, options.bad) + _BLOCK, _BLOCK):
        for table, most in ((good, options.good), (bad, options.bad)):
            for name in GOOD if table is good else BAD:
                row, count = table.get(name, {}), min(goal, most)
                if row.get("cases", 0) >= count:
                    continue
                if time.monotonic() - began > 60 * options.minutes:
                    return
                table[name] = (
                    more_good(GOOD[name], row, count) if table is good else more_bad(name, BAD[name][1], row, count)
                )
                table[name]["what"] = name if table is good else BAD[name][0]
                print(name, table[name], flush=True)
                keep()
    keep()


if __name__ == "__main__":
    main()
