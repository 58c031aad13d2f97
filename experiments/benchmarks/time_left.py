"""How true the time left is that commands announce, what their phases take, and what their live page costs.

    python experiments/benchmarks/time_left.py [--steps FILE]

Simulated particles through align, average and classify, after a small run of each, so that modules are loaded. Whenever
a command may say something it is asked for the time left, which is known afterwards: the ratio of announced to real
time left is noted at the moments nearest to a quarter, a half and three quarters of the time, and when the last
particle is aligned. All times are CPU seconds of one thread, so that they hold on a loaded machine. An average says *at
most*: it is made to use all of its iterations here. Also the CPU time of writing the live page once. The result is a
JSON file beside this one. `--steps` keeps when the alignments got how far, for tests of the time left.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import torchsag
from torchsag.app.from_python import workflow
from torchsag.runs import live_page, particle_run
from torchsag.runs.job import Job, Moment, Phase
from torchsag.runs.provenance import Provenance, versions

MOMENTS = (0.25, 0.5, 0.75)
AVERAGE = {"iterations": 3, "converged_deg": 1e-9}
CLASSIFY = {"classes": 2, "repeats": 2, "common_iterations": 2}
# Command, particles, box, settings: many particles, few, and few of a slow method.
RUNS: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "align, 200 particles": ("align", 200, 48, {}),
    "align, 20 particles": ("align", 20, 48, {}),
    "align, 20 particles, chen_frm": ("align", 20, 48, {"method": "chen_frm"}),
    "average, 100 particles": ("average", 100, 48, AVERAGE),
    "average, 20 particles": ("average", 20, 48, AVERAGE),
    "classify, 100 particles": ("classify", 100, 48, CLASSIFY),
}


class Timed(Job):
    """A job in CPU seconds that keeps what it heard."""

    last: Timed

    def __init__(self, command: str, began: float) -> None:
        super().__init__(command, time.process_time(), clock=time.process_time)
        self.steps: list[tuple[float, str, float]] = []

    def plan(self, phases: Sequence[Phase]) -> None:
        """As `Job`; a command within another has no plan."""
        Timed.last = self
        super().plan(phases)

    def begin(self, name: str, done: float | int = 0) -> None:
        """As `Job`."""
        self.steps.append((self.clock() - self.began, name, 0))
        super().begin(name, done)

    def advance(self, count: float | int, detail: str = "") -> None:
        """As `Job`."""
        self.steps.append((self.clock() - self.began, "", count))
        super().advance(count, detail)


@dataclass(frozen=True)
class Recorder:
    """A report that notes what it was told, and lets the real one work now and then."""

    page: Any
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


def run(command: str, needed: dict[str, str], **settings) -> dict[str, Any]:
    """Announced by real time left, and what phases and pages cost."""
    made = workflow(command, needed, settings)
    recorder = Recorder(made.report)
    object.__setattr__(made, "report", recorder)
    made(Provenance(command))
    timed = Timed.last
    total = timed.clock() - timed.began
    known = [(elapsed, left) for elapsed, left, _ in recorder.told if left is not None and elapsed < total]
    ratios = {}
    for share in MOMENTS if known else ():
        elapsed, left = min(known, key=lambda pair: abs(pair[0] - share * total))
        ratios[f"{share:g}"] = {"elapsed_part": elapsed / total, "announced_by_real": left / (total - elapsed)}
    aligned = max(elapsed for elapsed, name, count in timed.steps if count)
    told = [(elapsed, left) for elapsed, left in known if elapsed >= aligned][:1]
    for elapsed, left in told:
        ratios["last particle"] = {"elapsed_part": elapsed / total, "announced_by_real": left / (total - elapsed)}
    phases: dict[str, float] = {}
    for (start, _, doing), (end, _, _) in zip(recorder.told, [*recorder.told[1:], (total, 0, "")], strict=True):
        name = doing.partition(":")[0]
        phases[name] = phases.get(name, 0.0) + end - start
    pages = sum(recorder.spent) / len(recorder.spent)
    return {"cpu_seconds": total, "time_left": ratios, "phase_seconds": phases, "cpu_seconds_of_a_page": pages}


def main() -> None:
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=Path, default=None, help="keep the steps of the alignments here, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    live_page._SECONDS_BETWEEN_PAGES, live_page._MOST = 0.0, 1.0
    particle_run.Job = Timed
    found, steps = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for n in {8} | {n for _, n, _, _ in RUNS.values()}:
            torchsag.simulate("phantom", n, box=48, snr=0.05, out=str(place / f"particles{n}"))
        small = {f"warm {command}": (command, 8, 48, words) for command, _, _, words in RUNS.values()}
        for name, (command, n, box, settings) in {**small, **RUNS}.items():
            data, out = place / f"particles{n}", place / "out"
            inputs = {"particles": str(data / "particles.star"), "reference": str(data / "reference.mrc")}
            done = run(command, {**inputs, "out": str(out)}, **settings, chunk=10, device="cpu")
            shutil.rmtree(out)
            if name in small:
                continue
            found[name] = {"particles": n, "box": box, **done}
            if command == "align":
                total = done["cpu_seconds"]
                steps[name] = {"particles": n, "box": box, "cpu_seconds": total, "steps": Timed.last.steps}
            print(name, json.dumps(found[name], indent=1), flush=True)
    result = {"versions": versions(), "threads": torch.get_num_threads(), "runs": found}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.steps is not None:
        options.steps.write_text(json.dumps(steps) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
