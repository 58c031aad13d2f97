"""How true the time left is that commands announce, and what their live page costs.

    python experiments/benchmarks/time_left.py

Simulated particles through align, average and classify, each alone in a process that has run a small command before, so
that modules are loaded. Whenever the command may say something it is asked for the time left, which is known
afterwards: the ratio of announced to real time left is noted at the moments nearest to a quarter, a half and three
quarters of the time. An average says *at most*: it is made to use all of its iterations here.
Where no time was known by then the nearest moment is later, which is noted too. Also the CPU time of writing
the live page once. The result is a JSON file beside this one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

import torchsag
from torchsag.app.from_python import workflow
from torchsag.runs import live_page
from torchsag.runs.job import Moment
from torchsag.runs.provenance import Provenance, versions

MOMENTS = (0.25, 0.5, 0.75)
COMMANDS = {
    "align": {},
    "average": {"iterations": 4, "converged_deg": 1e-9},
    "classify": {"classes": 2, "repeats": 2, "common_iterations": 2},
}


@dataclass(frozen=True)
class Recorder:
    """A report that notes what it was told, and lets the real one work now and then."""

    page: object
    told: list[tuple[float, float | None, str]] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)

    def __call__(self, folder: Path) -> None:
        """The page at the end."""
        self.page(folder)

    def running(self, folder: Path, moment: Moment, due: float) -> None:
        """As `LiveReport`."""
        self.told.append((moment.elapsed_seconds, moment.seconds_left, moment.doing))
        began = time.process_time()
        self.page.running(folder, moment, due)
        self.spent.append(time.process_time() - began)


def run(command: str, needed: dict[str, str], **settings) -> dict:
    """Announced by real time left, and what pages cost."""
    made = workflow(command, needed, settings)
    recorder = Recorder(made.report)
    object.__setattr__(made, "report", recorder)
    began, cpu = time.perf_counter(), time.process_time()
    made(Provenance(command))
    total, cpu = time.perf_counter() - began, time.process_time() - cpu
    ratios = {}
    for share in MOMENTS:
        known = [(elapsed, left) for elapsed, left, _ in recorder.told if left is not None and elapsed < total]
        elapsed, left = min(known, key=lambda pair: abs(pair[0] - share * total))
        ratios[f"{share:g}"] = {"elapsed_part": elapsed / total, "announced_by_real": left / (total - elapsed)}
    phases: dict[str, float] = {}
    for (start, _, doing), (end, _, _) in zip(recorder.told, [*recorder.told[1:], (total, 0, "")], strict=True):
        name = doing.partition(":")[0]
        phases[name] = phases.get(name, 0.0) + end - start
    pages = sum(recorder.spent) / len(recorder.spent)
    return {
        "seconds": total,
        "cpu_seconds": cpu,
        "time_left": ratios,
        "phase_seconds": phases,
        "cpu_seconds_of_a_page": pages,
    }


def main() -> None:
    """Run, print and save."""
    live_page._SECONDS_BETWEEN_PAGES, live_page._MOST = 0.0, 1.0
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for n in (8, 400):
            torchsag.simulate("phantom", n, box=48, snr=0.05, out=str(place / f"particles{n}"))
        for n in (8, 400):
            data = place / f"particles{n}"
            inputs = {"particles": str(data / "particles.star"), "reference": str(data / "reference.mrc")}
            common = {"chunk": 16, "device": "cpu"}
            for command, settings in COMMANDS.items():
                out = place / f"{command}{n}"
                done = run(command, {**inputs, "out": str(out)}, **settings, **common)
                shutil.rmtree(out)
                if n > 8:
                    found[command] = done
                    print(command, json.dumps(done, indent=1))
    result = {
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "particles": 400,
        "box": 48,
        "commands": found,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
