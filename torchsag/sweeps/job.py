"""One job of a sweep, as its record tells: with which settings, from which inputs, and how it ended.

Every job's folder holds a ``job.json``. Jobs of several sweeps into the same folder count together, so that a sweep can
be added to; a job that has ended well with the same settings, inputs and version is not repeated.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from torchsag.runs.signatures import file_signature
from torchsag.version import VERSION

_RECORD = "job.json"
_LOCKS = ".jobs"
_LARGEST = 1 << 24
# Where and how a job is carried out, not what it computes.
_HOW = frozenset({
    "out", "allow", "threads", "device", "parallel", "staging", "chunk", "report", "resume", "logger", "strict",
})  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes
    ----------
    folder
        Its name below the sweep's folder.
    settings
        The keys that vary, and their values in this job.
    error
        Why it failed; empty for a job that ended well.
    merit
        See `torchsag.runs.outcome.Outcome`.
    mark
        Of everything its result depends on; see `mark_of`.
    known
        What else was set, whether it varied or not, by the words that would vary it.
    """

    folder: str
    settings: Mapping[str, str]
    error: str = ""
    merit: float | None = None
    mark: str = ""
    known: Mapping[str, str] = field(default_factory=dict)

    def write(self, out: Path) -> None:
        """Leave the record in the job's folder below `out`."""
        (out / self.folder).mkdir(parents=True, exist_ok=True)
        record = out / self.folder / _RECORD
        temporary = record.with_name(f".{_RECORD}.{os.getpid()}")
        temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, record)

    @staticmethod
    def read(folder: Path) -> Job | None:
        """The record in a job's folder; None if there is none that can be read."""
        record = folder / _RECORD
        try:
            if record.stat().st_size > _LARGEST:
                return None
            found = json.loads(record.read_text(encoding="utf-8"))
            return Job(**{field.name: found[field.name] for field in fields(Job) if field.name in found})
        except (OSError, ValueError, TypeError, RecursionError):
            return None


def jobs_below(out: Path) -> list[Job]:
    """The jobs that left a record, by folder; all with the settings that vary in any of them."""
    found = [Job.read(path.parent) for path in sorted(out.rglob(_RECORD))]
    jobs = [job for job in found if job is not None]
    varied = list(dict.fromkeys(key for job in jobs for key in job.settings))
    return [replace(job, settings=_known_of(job, varied)) for job in jobs]


def _known_of(job: Job, keys: list[str]) -> dict[str, str]:
    """Values of these keys as they varied or, in a sweep where they did not, as they were set."""
    everything = {**job.known, **job.settings}
    return {key: everything[key] for key in keys if key in everything}


def take_over(out: Path, job: Job) -> Job | None:
    """The job that has ended well with the same mark, under the name and settings that this sweep gives it.

    What varies in a sweep names its jobs, so that a job may have another name once one more key varies.
    """
    here = Job.read(out / job.folder)
    found = next(
        (one for one in filter(None, (here, *jobs_below(out))) if one.mark == job.mark and not one.error), None
    )
    if found is None or not job.mark:
        return None
    if found.folder != job.folder:
        try:
            os.rename(out / found.folder, out / job.folder)  # onto a folder that is empty still
        except OSError:
            return None
    renamed = replace(job, merit=found.merit)
    renamed.write(out)
    return renamed


def forget_failures(out: Path) -> None:
    """Before a sweep starts: what failed in an earlier one is tried again, or no longer asked for."""
    for job in jobs_below(out):
        if job.error:
            (out / job.folder / _RECORD).unlink()


@contextmanager
def alone(out: Path, name: str) -> Iterator[None]:
    """Wait until no other process is at the job of this name: two jobs may turn out to be one."""
    locks = out / _LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / hashlib.sha256(name.encode()).hexdigest()[:32]).open("w") as file:
        with suppress(OSError):  # some network file systems have no locks; the run itself claims its folder
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove_locks(out: Path) -> None:
    """When all jobs have ended."""
    shutil.rmtree(out / _LOCKS, ignore_errors=True)


def mark_of(config: Mapping[str, Any]) -> str:
    """A mark of a job's settings, of the files they name, and of the code of the packages its components are from.

    Of a list of particles the list counts, and not the volumes in it.
    """
    settings = {key: value for key, value in config.items() if key not in _HOW}
    texts = list(_texts(settings))
    files = sorted(file_signature(path) for path in texts if os.path.isfile(path))
    homes = {target.partition(".")[0] for target in _targets(settings)} | {"torchsag"}
    code = {home: _code(home) for home in sorted(homes - {"torch"})}
    said = json.dumps([VERSION, settings, files, code], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()


@cache
def _code(package: str) -> str:
    """A mark of the Python files of an imported package."""
    module, digest = sys.modules.get(package), hashlib.sha256()
    folders = [Path(folder) for folder in getattr(module, "__path__", ())]
    files = [(path, path.relative_to(folder)) for folder in folders for path in sorted(folder.rglob("*.py"))]
    alone_in_a_file = getattr(module, "__file__", None)
    if not folders and alone_in_a_file is not None:
        files = [(Path(alone_in_a_file), Path(alone_in_a_file).name)]
    for path, name in files:
        digest.update(f"{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from _targets(value)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str) and node and "\0" not in node and len(node) < 4096:
        yield node
