"""Fixed tasks for every program of the field: the work behind ``torchsag bench``."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torchsag.alignment.aligner import Aligner
from torchsag.bench.entry import read_entry
from torchsag.bench.fingerprint import require_published
from torchsag.bench.making import make
from torchsag.bench.scoring import score
from torchsag.bench.sheet import WORDS, Sheet, interval, shown
from torchsag.bench.task import TASKS, Task, task_named
from torchsag.bench.versus import Paired, compare
from torchsag.classification.classifier import Classifier
from torchsag.classification.mco_a import MCOA
from torchsag.errors import InputError
from torchsag.io import write_text
from torchsag.runs.device import pick_device
from torchsag.runs.metrics import surroundings, write_metrics
from torchsag.runs.outcome import Outcome, Report, files_made
from torchsag.runs.output_folder import claim, publish
from torchsag.runs.provenance import Provenance
from torchsag.workflows.bench.own_run import OwnEntrant
from torchsag.workflows.bench.task_folder import write_task

_log = logging.getLogger(__name__)

_HEADLINE = {
    "align": ("within_10_deg", "median_rotation_error_deg", "rotation_error_by_bound", "shift_error_by_bound"),
    "average": ("truth_0.5_angstrom", "half_maps_0.143_angstrom", "within_10_deg"),
    "classify": ("adjusted_rand_index", "right_class"),
    "calibrate": ("inside_95", "z_rms", "within_10_deg"),
}
_TIME = "cpu_seconds_per_particle"


@dataclass(frozen=True)
class Bench:
    """Write the benchmark's tasks, solve them with torchsag, judge what others found, or compare two sheets.

    Attributes
    ----------
    out
        Folder for tasks, lists and the score sheet; None writes nothing, and lists the tasks or shows a score.
    task
        One task or several, as in [align_easy,align_hard]; None takes all.
    method
        torchsag's own way to align, to be judged; None for none.
    local_method
        Takes over from it near known poses in tasks that average; None for not.
    classifier
        torchsag's own way to classify.
    judge
        Somebody's list of one task's particles with poses (or classes), or a folder with one list for each task, called
        TASK.star; None for none.
    first
        Judge only the first so many particles of each task, for programs that would take too long; None judges all.
    cpu_seconds
        What a list that is judged took, for its sheet; in a folder TASK.json may say {"cpu_seconds": 1.5}. None leaves
        it out.
    sheets
        Two score sheets, to be compared particle by particle; None for none.
    name
        What the sheet calls the entrant; None takes the method, or the list.
    seed
        Of what methods draw at random; the tasks have seeds of their own.
    device
        ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` takes a GPU where there is one.
    report
        Makes the page of a sheet; None for none.
    """

    out: str | None = None
    task: str | Sequence[str] | None = None
    method: Aligner | None = None
    local_method: Aligner | None = None
    classifier: Classifier = field(default_factory=MCOA)
    judge: str | None = None
    first: int | None = None
    cpu_seconds: float | int | None = None
    sheets: Sequence[str] | None = None
    name: str | None = None
    seed: int = 0
    device: str = "auto"
    report: Report | None = None

    def __post_init__(self):
        given = [name for name in ("method", "judge", "sheets") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"{given[1]}: expected none beside {given[0]}=, as a run makes one sheet")
        if self.method is not None and not isinstance(self.method, Aligner):
            raise InputError(f"method: expected an aligner, got {type(self.method).__name__}")
        if not isinstance(self.classifier, Classifier):
            raise InputError(f"classifier: expected a way to classify, got {type(self.classifier).__name__}")
        if self.method is not None and self.out is None:
            raise InputError("out: expected a folder for tasks, lists and the sheet with method=, got none")
        if self.sheets is not None and (isinstance(self.sheets, str) or len(self.sheets) != 2):
            raise InputError(
                f"sheets: expected two score sheets, as in [mine/sheet.json,theirs/sheet.json], got {self.sheets}"
            )
        if self.cpu_seconds is not None and not self.cpu_seconds >= 0:
            raise InputError(f"cpu_seconds: expected a number of at least 0, got {self.cpu_seconds}")
        if self.cpu_seconds is not None and (self.judge is None or Path(self.judge).is_dir()):
            raise InputError("cpu_seconds: expected judge= with it, and one list; in a folder TASK.json says it")
        if self.first is not None and (self.judge is None or self.first < 2):
            raise InputError(f"first: expected judge= with it, and at least 2 particles, got {self.first}")
        if self.seed < 0:
            raise InputError(f"seed: expected a whole number of at least 0, got {self.seed}")
        self._chosen()

    def __call__(self, provenance: Provenance) -> Outcome:
        """Do what the settings ask for.

        Raises
        ------
        InputError
            If something given from outside is unusable, or the tasks come out differently on this machine.
        """
        if self.sheets is not None:
            return self._compare(self.sheets)
        with nullcontext() if self.out is None else claim(Path(self.out), command=provenance.command):
            if self.method is not None:
                return self._finish(self._own_sheet(self.method, provenance), provenance)
            if self.judge is not None:
                return self._finish(self._foreign_sheet(self.judge), provenance)
            return self._write_tasks()

    def _chosen(self) -> list[Task]:
        if self.task is None:
            return list(TASKS)
        return [task_named(str(name)) for name in ([self.task] if isinstance(self.task, str) else self.task)]

    def _write_tasks(self) -> Outcome:
        for task in self._chosen() if self.out is not None else ():
            _log.info("writing %s", task.name)
            write_task(Path(self.out or "") / "tasks" / task.name, task)
        rows = [
            (
                *(task.name, str(task.particles), str(task.box), f"{task.voxel_size_angstrom:g}", f"{task.snr:g}"),
                *(f"{task.tilt_deg:g}", task.symmetry, str(len(task.structures)), _given(task)),
            )
            for task in self._chosen()
        ]
        columns = ("task", "particles", "box", "angstrom", "SNR", "tilts to", "symmetry", "structures", "reference")
        notes = ["SNR: variance of the signal over the box / noise variance per voxel, before the wedge"]
        if self.out is None:
            notes.append("out=DIR writes them as files")
        else:
            notes += [f"{self.out}/tasks/TASK: particles.star, reference.mrc, task.json"]
            notes += ["judge=poses.star task=TASK scores poses against the truth"]
        return Outcome("tasks", columns, tuple(rows), tuple(notes))

    def _own_sheet(self, method: Aligner, provenance: Provenance) -> Sheet:
        run = OwnEntrant(method, self.local_method, self.classifier, self.seed, self.device)
        out = Path(self.out or "")
        name = self.name or type(method).__name__
        sheet = Sheet(name, {"program": "torchsag", "method": type(method).__name__})
        for task in self._chosen():
            data = out / "tasks" / task.name
            problem = write_task(data, task)
            _log.info("%s: %s", task.name, name)
            path, seconds = run(task, data, out / "runs" / task.name, provenance)
            sheet.add(problem, score(problem, read_entry(path, task)), seconds)
        return sheet

    def _foreign_sheet(self, judged: str) -> Sheet:
        sheet = Sheet(self.name or Path(judged).stem, {"list": Path(judged).name})
        for task, path, seconds in self._lists(Path(judged)):
            problem = make(task)
            require_published(problem)
            entry = read_entry(path, task)
            if self.first is not None:
                problem, entry = problem.beginning(self.first), entry.beginning(self.first)
            sheet.add(problem, score(problem, entry), seconds)
        return sheet

    def _lists(self, judged: Path) -> Iterator[tuple[Task, Path, float | None]]:
        """Each list that is to be judged, and what it took."""
        if not judged.is_dir():
            tasks = self._chosen()
            if len(tasks) != 1:
                raise InputError(
                    f"task: expected the one that {judged} answers, as in task=align_hard, got none or several"
                )
            yield tasks[0], judged, None if self.cpu_seconds is None else float(self.cpu_seconds)
            return
        found = [(task, judged / f"{task.name}.star") for task in self._chosen()]
        missing = [path.name for _, path in found if not path.is_file()]
        if len(missing) == len(found) or (missing and self.task is not None):
            raise InputError(f"judge={judged}: expected a list called as its task, got no {missing[0]}")
        for task, path in found:
            if path.is_file():
                yield task, path, _seconds(path.with_suffix(".json"))

    def _finish(self, sheet: Sheet, provenance: Provenance) -> Outcome:
        """Write the sheet, if there is a folder for it, and show what matters most."""
        rows = list(_rows(sheet))
        columns = ("task", "", "", "95 % interval")
        if self.out is None:
            return Outcome(sheet.name, columns, tuple(rows), ("out=DIR keeps the whole sheet",))
        out, where = Path(self.out), surroundings(provenance, self.seed, pick_device(self.device), 1)
        sheet.about.update({"torchsag": where["versions"]["torchsag"], "threads": where["threads"]})
        with publish(out) as staging:
            sheet.write(staging)
            summary = {f"{task}.{name}": one["value"] for task, name, one in _records(sheet)}
            write_metrics(staging / "metrics.json", {**where, "entrant": sheet.name, "summary": summary})
            (staging / "config.yaml").write_text(provenance.configuration, encoding="utf-8")
            if self.report is not None:
                self.report(staging)
        return Outcome(sheet.name, columns, tuple(rows), files_made(out, ("sheet.md", "sheet.json")))

    def _compare(self, sheets: Sequence[str]) -> Outcome:
        first, second = (Sheet.read(path) for path in sheets)
        found = compare(first, second)
        notes = [
            f"first: {first.name}; second: {second.name}",
            "within 10 degrees, right class: particles that only one got right, McNemar's exact test; rotation error: "
            "medians, Wilcoxon's signed ranks; p after Holm's correction for all rows",
        ]
        if self.out is not None:
            with claim(Path(self.out)) as out:
                write_text(out / "versus.json", json.dumps([vars(row) for row in found], indent=1) + "\n")
            notes.append(f"{self.out}/versus.json")
        columns = ("task", "", "first", "second", "difference", "95 % interval", "p")
        return Outcome(f"{first.name} against {second.name}", columns, tuple(map(_compared, found)), tuple(notes))


def _given(task: Task) -> str:
    if not task.reference_given:
        return "none"
    kind = f"average of {task.reference_particles}" if task.reference_particles else "exact"
    return kind if task.reference_angstrom is None else f"{task.reference_angstrom:g} angstrom"


def _seconds(path: Path) -> float | None:
    if not path.is_file():
        return None
    try:
        seconds = float(json.loads(path.read_text(encoding="utf-8"))["cpu_seconds"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f'{path}: expected {{"cpu_seconds": NUMBER}}, got {type(error).__name__}') from error
    if not seconds >= 0:
        raise InputError(f"{path}: expected cpu_seconds of at least 0, got {seconds}")
    return seconds


def _records(sheet: Sheet) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for task, record in sheet.tasks.items():
        for name, one in record["measures"].items():
            yield task, name, one


def _rows(sheet: Sheet) -> Iterator[tuple[str, str, str, str]]:
    for task, name, _ in _records(sheet):
        if name in (*_HEADLINE[task_named(task).kind], _TIME):
            one = sheet.measure(task, name)
            assert one is not None
            yield task, WORDS[name], shown(name, one.value), interval(name, one)


def _compared(row: Paired) -> tuple[str, ...]:
    between = "" if row.low is None or row.high is None else f"{row.low:.2g} to {row.high:.2g}"
    numbers = (f"{value:.3g}" for value in (row.first, row.second, row.difference))
    return (row.task, row.quantity, *numbers, between, f"{row.p_holm:.2g}")
