"""Damage files, kill commands and put faults under them, many times, and write what happened.

Each campaign is run in pieces that are kept in a folder: the same command again goes on with the pieces that are
missing. ``--only kills`` leaves the other campaigns as they were recorded.

Leave the checkout alone meanwhile: every killed command imports from it.

    python experiments/campaigns/campaign.py --mutations 20000 --kills 100 --faults 130 --seed 1 --keep FOLDER

Writes ``campaign.json`` and ``campaign.md`` (the tables of docs/robustness.md) beside this file.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults
import kills
import mutations

from torchsag.runs.provenance import versions

HERE = Path(__file__).parent


def _mutations(folder: Path, count: int, seed: int, first: int) -> dict[str, Any]:
    found = mutations.run(folder, count, seed, first=first)
    return found | {"peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def _kills(folder: Path, count: int, seed: int, first: int) -> dict[str, Any]:
    return kills.run(folder, count, seed, ranks=count // 5, first=first)


def _faults(folder: Path, count: int, seed: int, first: int) -> dict[str, Any]:
    return faults.run(folder, count, seed, first=first)


Campaign = Callable[[Path, int, int, int], dict[str, Any]]
CAMPAIGNS: dict[str, tuple[Campaign, int]] = {
    "mutations": (_mutations, 2000), "kills": (_kills, 20), "faults": (_faults, 13),
}  # fmt: skip
"""How to run a piece, and how many trials make one."""

_LARGEST = ("slowest_cpu_seconds", "peak_memory_mib", "operations")  # of numbers that are not to be added up


def in_pieces(name: str, count: int, seed: int, keep: Path) -> dict[str, Any]:
    """A campaign of `count` trials; the piece that begins with trial k has the seed `seed` + k."""
    run, size = CAMPAIGNS[name]
    whole: dict[str, Any] = {}
    for first in range(0, count, size):
        kept = keep / f"{name}-{seed}-{first}.json"
        if not kept.exists():
            with tempfile.TemporaryDirectory() as folder:
                found = run(Path(folder), min(size, count - first), seed + first, first)
            kept.write_text(json.dumps(found), encoding="utf-8")
        whole = added(whole, json.loads(kept.read_text(encoding="utf-8")))
    return whole | {"seed": seed}


def added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two records as one: counts are added, lists joined."""
    whole = dict(one)
    for key, value in other.items():
        if isinstance(value, dict):
            whole[key] = added(one.get(key, {}), value)
        elif isinstance(value, list):
            whole[key] = [*one.get(key, []), *value]
        else:
            whole[key] = max(one.get(key, 0), value) if key in _LARGEST else one.get(key, 0) + value
    return whole


def tables(record: dict[str, Any]) -> str:
    """The campaigns that have been run, as Markdown."""
    parts = [show(record[name]) for name, show in _SHOWN.items() if record.get(name)]
    return "\n".join("\n".join(lines) + "\n" for lines in parts)


def _damaged(found: dict[str, Any]) -> list[str]:
    lines = [
        f"{found['mutations']} damaged files, seed {found['seed']}:",
        "",
        "| file | refused in one sentence | accepted with a warning | accepted | changed without a word | traceback | "
        "longer than 20 s |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, row in found["table"].items():
        shown = [str(row.get(key, 0)) for key in ("refused", "warned", "accepted", "silent", "traceback", "hang")]
        lines.append(f"| {kind} | {' | '.join(shown)} |")
    return lines


def _killed(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['kills']} kills (SIGKILL, SIGTERM, SIGINT before an open, rename, remove or mkdir drawn by chance); "
        f"seed {found['seed']}:",
        "",
        "| command | file operations of a whole run | kills | repeated with the same results and nothing left over |",
        "|---|---|---|---|",
        *(f"| {c} | {r['operations']} | {r['kills']} | {r['same']} |" for c, r in found["table"].items()),
    ]


def _faulty(found: dict[str, Any]) -> list[str]:
    kinds = list(next(iter(found["table"].values())))
    cells = {
        command: [f"{row[kind]['sound']} of {row[kind]['runs']}" for kind in kinds]
        for command, row in found["table"].items()
    }
    return [
        f"{found['faults']} faults, each followed by the same command without; seed {found['seed']}; sound of tried:",
        "",
        f"| command | {' | '.join(kinds)} |",
        "|---" * (1 + len(kinds)) + "|",
        *(f"| {command} | {' | '.join(row)} |" for command, row in cells.items()),
    ]


_SHOWN = {"mutations": _damaged, "kills": _killed, "faults": _faulty}


def main() -> None:
    """Run the campaigns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--faults", type=int, default=130)
    parser.add_argument("--only", choices=list(CAMPAIGNS), nargs="+", default=list(CAMPAIGNS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, required=True)
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = json.loads((HERE / "campaign.json").read_text(encoding="utf-8"))
    record["versions"] = versions()
    for name in given.only:
        record[name] = in_pieces(name, getattr(given, name), given.seed, given.keep)
    (HERE / "campaign.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (HERE / "campaign.md").write_text(tables(record), encoding="utf-8")


if __name__ == "__main__":
    main()
