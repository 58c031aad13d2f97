"""``-m``: one run per combination of values, through hydra's sweepers and launchers."""

from __future__ import annotations

import functools
import math
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from torchsag.app.composition import allowed_modules, compose_command, explain, hydra_ready, parse, resolve
from torchsag.app.machinery import refuse_foreign_machinery
from torchsag.app.single_run import execute
from torchsag.app.sweep_words import SweepLoader, key_of, partial_words
from torchsag.app.targets import import_allowed
from torchsag.errors import InputError, printable
from torchsag.launch import Launch
from torchsag.sweeps.job import Job, alone, forget_failures, jobs_below, mark_of, remove_locks, take_over
from torchsag.sweeps.summary import summarise_sweep


def run_many(command: str, overrides: Sequence[str]) -> int:
    """Run the sweep and sum it up; a failing job is reported and does not end it. Returns 0 only if none failed."""
    launch = Launch.of(os.environ)
    if launch.launcher != "none":
        raise InputError(
            f"-m: expected one process that starts the jobs, got process {launch.rank} of {launch.size or 'many'} of "
            "mpiexec, srun or torchrun; start it without them"
        )
    parsed = parse(overrides)
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    partial = partial_words(parsed)
    # A slip in a key is better reported once, now, than by every job.
    plain = [str(o.input_line) for o in parsed if not o.is_sweep_override() and o not in partial]
    out = Path(compose_command(command, plain)["out"])
    fixed = [override.key_or_group for override in parsed if override.key_or_group not in swept]
    forget_failures(out)
    with hydra_ready():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        words = [*_sweep_settings(fixed), *overrides]
        loader = SweepLoader(hydra.config_loader.get_search_path(), words)
        hydra.config_loader = loader
        try:
            _refuse_words_without_place(loader, command, words)
            allowed = allowed_modules(parsed)
            import_allowed([f"{package}." for package in allowed], allowed)  # callbacks may come from there
            refuse_foreign_machinery(
                hydra.compose_config(command, words, RunMode.MULTIRUN), [o.key_or_group for o in parsed], allowed
            )
            # `allow` as typed: what a yaml adds to hydra's own list of overrides does not count.
            hydra.multirun(command, functools.partial(_job, allowed), words, with_log_configuration=False)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(command, parsed, error)) from error
        finally:
            remove_locks(out)
    return _sum_up(out)


def _refuse_words_without_place(loader: SweepLoader, command: str, words: Sequence[str]) -> None:
    left = loader.without_place(command, words)
    if left:
        raise InputError(
            f"{left[0]}: expected a key that one of the components of this sweep has, got one that none has; "
            f"`torchsag {command} --help` lists the components and their keys"
        )


def _sum_up(out: Path) -> int:
    from torchsag.report.comparison import ComparisonPage
    from torchsag.report.sweep import SweepPage

    files = summarise_sweep(out, ComparisonPage(), SweepPage())
    jobs = jobs_below(out)
    failed = [job for job in jobs if job.error]
    sys.stdout.write(f"{len(jobs) - len(failed)} of {len(jobs)} jobs ended well\n")
    sys.stdout.writelines(f"[{job.folder}] failed: {printable(job.error)}\n" for job in failed)
    judged = [job for job in jobs if not job.error and job.merit is not None and math.isfinite(job.merit)]
    if len(judged) > 1:
        best = min(judged, key=lambda job: job.merit if job.merit is not None else math.inf)
        sys.stdout.write(
            f"best: [{best.folder}] with {best.merit:.4g} (smaller is better); of many jobs also the luckiest, "
        )
        sys.stdout.write("see the intervals and paired tests in sweep.html\n")
    sys.stdout.writelines(f"{path}\n" for path in files)
    return 2 if failed else 0


def _sweep_settings(fixed: list[str]) -> list[str]:
    """Everything the sweep writes goes below ``out``: one folder per job, named by what varies."""
    return [
        "hydra.sweep.dir=${out}",
        "hydra.sweep.subdir=${hydra.job.override_dirname}",
        f"hydra.job.config.override_dirname.exclude_keys=[{','.join(fixed)}]",
        "hydra.output_subdir=null",
        "hydra.job.chdir=false",
        "hydra/job_logging=none",
        "hydra/hydra_logging=none",
    ]


def _job(allowed: tuple[str, ...], config: DictConfig) -> float:
    """One run of the sweep, in whatever process the launcher chose; returns its merit, not a number if it has none.

    A failure is recorded, not raised, so that the others go on. What has ended well with the same settings, inputs and
    code is not done again.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    with open_dict(config):
        config.pop("hydra", None)
        if "logger" in config:  # what it keeps for all jobs is in the sweep's folder
            config.logger = OmegaConf.to_container(config.logger, resolve=True)
        out, config.out = Path(config.out), str(folder)
    name = os.path.relpath(folder, out)
    with alone(out, name):
        job = Job(name, _varied(hydra))
        try:
            command = str(hydra.job.config_name)
            job = replace(job, known=_settings(config, hydra.runtime.choices))
            plain = resolve(command, config, hydra.runtime.choices)
            import_allowed(plain, allowed)
            job = replace(job, mark=mark_of(plain))
            earlier = take_over(out, job) if plain.get("resume", True) else None
            if earlier is not None:
                sys.stdout.write(f"[{name}] was done before\n")
                return math.nan if earlier.merit is None else earlier.merit
            outcome = execute(command, plain, allowed)
            if outcome is not None:
                untrusted = "its verdict is not to trust the result, and strict=true" if outcome.exit_status else ""
                job = replace(job, merit=outcome.merit, error=untrusted)
        except InputError as refusal:
            job = replace(job, error=str(refusal))
        except Exception as defect:  # a defect in one method must not cost the others' results
            traceback.print_exc()
            job = replace(job, error=traceback.format_exception_only(_root(defect))[-1].strip())
        job.write(out)
    if job.error:
        sys.stderr.write(f"torchsag: [{name}] {printable(job.error)}\n")
    else:
        sys.stdout.write(f"[{name}] -> {config.out}\n")
    return math.nan if job.merit is None else job.merit


def _varied(hydra: Any) -> dict[str, str]:
    """The settings of a job that vary in its sweep, as typed."""
    fixed = set(hydra.job.config.override_dirname.exclude_keys)
    words = parse(list(hydra.overrides.task))
    return {key_of(o): str(o.input_line).partition("=")[2] for o in words if o.key_or_group not in fixed}


def _settings(config: DictConfig, choices: Mapping[str, str | None]) -> dict[str, str]:
    """All that is set in a job, by the words that would set it: components by their names, numbers and texts."""
    known = {group: str(name) for group, name in choices.items() if name and not group.startswith("hydra")}
    for key, value in _leaves(OmegaConf.to_container(config, resolve=False)):
        if isinstance(value, (str, int, float)) and not key.rpartition(".")[2].startswith("_"):
            known.setdefault(key, str(value).lower() if isinstance(value, bool) else str(value))
    return known


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _root(error: BaseException) -> BaseException:
    """What an error came from in the first place."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
