"""Damage files and kill commands, many times, and write what happened.

``--kills 0`` and ``--mutations 0`` leave that half as it was recorded.

Leave the checkout alone meanwhile: every killed command imports from it.

    python experiments/campaigns/campaign.py --mutations 10000 --kills 100 --seed 1

Writes ``campaign.json`` and ``campaign.md`` (the tables of docs/robustness.md) beside this file.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from pathlib import Path
from typing import Any

import kills
import mutations

from torchsag.runs.provenance import versions

HERE = Path(__file__).parent


def tables(record: dict[str, Any]) -> str:
    """Both campaigns as Markdown."""
    damaged, killed = record["mutations"], record.get("kills")
    lines = [
        f"{damaged['mutations']} damaged files, seed {damaged['seed']}:",
        "",
        "| file | refused in one sentence | accepted with a warning | accepted | changed without a word | traceback | "
        "longer than 20 s |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, row in damaged["table"].items():
        shown = [str(row.get(key, 0)) for key in ("refused", "warned", "accepted", "silent", "traceback", "hang")]
        lines.append(f"| {kind} | {' | '.join(shown)} |")
    if killed is None:
        return "\n".join(lines) + "\n"
    lines += [
        "",
        f"{killed['kills']} kills (SIGKILL, SIGTERM, SIGINT before an open, rename, remove or mkdir drawn by chance); "
        f"seed {killed['seed']}:",
        "",
        "| command | file operations of a whole run | kills | repeated with the same results and nothing left over |",
        "|---|---|---|---|",
    ]
    lines += [f"| {c} | {r['operations']} | {r['kills']} | {r['same']} |" for c, r in killed["table"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run both campaigns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        damaged = mutations.run(Path(folder) / "m", given.mutations, given.seed) if given.mutations else None
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        killed = kills.run(Path(folder) / "k", given.kills, given.seed, ranks=given.kills // 5) if given.kills else None
    if damaged is not None:
        damaged["peak_memory_mib"] = memory
    record = {"versions": versions(), "mutations": damaged, "kills": killed}
    earlier = json.loads((HERE / "campaign.json").read_text(encoding="utf-8"))
    record |= {part: earlier.get(part) for part in ("mutations", "kills") if record[part] is None}
    (HERE / "campaign.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (HERE / "campaign.md").write_text(tables(record), encoding="utf-8")


if __name__ == "__main__":
    main()
