"""``-m``: one run per combination of values, through hydra's sweepers and launchers."""

from __future__ import annotations

import functools
import math
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from torchsag.app.composition import allowed_modules, compose_command, explain, hydra_ready, parse, resolve
from torchsag.app.machinery import refuse_foreign_machinery
from torchsag.app.single_run import execute
from torchsag.errors import InputError, printable
from torchsag.workflows.compare.sweep import Job, forget_failures, jobs_below, summarise_sweep

_RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "TORCHELASTIC_RUN_ID")


def run_many(command: str, overrides: Sequence[str]) -> int:
    """Run the sweep and sum it up; a failing job is reported and does not end it. Returns 0 only if none failed."""
    launcher = next((name for name in _RANK_VARIABLES if name in os.environ), None)
    if launcher:
        raise InputError(f"-m cannot be used under mpiexec or torchrun ({launcher} is set): start one run per launch")
    parsed = parse(overrides)
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    # A slip in a key is better reported once, now, than by every job.
    plain = [word for word, override in zip(overrides, parsed, strict=True) if not override.is_sweep_override()]
    out = Path(compose_command(command, plain)["out"])
    fixed = [override.key_or_group for override in parsed if override.key_or_group not in swept]
    forget_failures(out)
    with hydra_ready():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            words = [*_sweep_settings(fixed), *overrides]
            refuse_foreign_machinery(
                hydra.compose_config(command, words, RunMode.MULTIRUN), [override.key_or_group for override in parsed]
            )
            # `allow` as typed: what a yaml adds to hydra's own list of overrides does not count.
            job = functools.partial(_job, allowed_modules(parsed))
            hydra.multirun(command, job, words, with_log_configuration=False)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(command, parsed, error)) from error
    return _sum_up(out)


def _sum_up(out: Path) -> int:
    from torchsag.report.comparison import ComparisonPage

    files = summarise_sweep(out, ComparisonPage())
    jobs = jobs_below(out)
    failed = [job for job in jobs if job.error]
    sys.stdout.write(f"{len(jobs) - len(failed)} of {len(jobs)} jobs ended well\n")
    sys.stdout.writelines(f"[{job.folder}] failed: {printable(job.error)}\n" for job in failed)
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

    A failure is recorded, not raised, so that the others go on.
    """
    job = HydraConfig.get()
    command, parsed = str(job.job.config_name), parse(list(job.overrides.task))
    label = str(job.job.override_dirname)
    with open_dict(config):
        config.pop("hydra", None)
        out, config.out = Path(config.out), job.runtime.output_dir
    error, merit = "", None
    try:
        outcome = execute(command, resolve(command, config, job.runtime.choices), allowed)
        if outcome is not None:
            merit = outcome.merit
            error = "its verdict is not to trust the result, and strict=true" if outcome.exit_status else ""
    except InputError as refusal:
        error = str(refusal)
    except Exception as defect:  # a defect in one method must not cost the others' results
        traceback.print_exc()
        error = traceback.format_exception_only(_root(defect))[-1].strip()
    if error:
        sys.stderr.write(f"torchsag: [{label}] {printable(error)}\n")
    else:
        sys.stdout.write(f"[{label}] -> {config.out}\n")
    fixed = set(job.job.config.override_dirname.exclude_keys)
    varied = {o.key_or_group: str(o.input_line).partition("=")[2] for o in parsed if o.key_or_group not in fixed}
    Job(label, varied, error, merit).write(out)
    return math.nan if merit is None else merit


def _root(error: BaseException) -> BaseException:
    """What an error came from in the first place."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
