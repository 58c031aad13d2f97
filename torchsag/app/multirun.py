"""``-m``: one run per combination of values, through hydra's sweepers and launchers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from torchsag.app.composition import allowed_modules, compose_command, explain, hydra_ready, parse, resolve
from torchsag.app.single_run import execute
from torchsag.errors import InputError

_RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "TORCHELASTIC_RUN_ID")


def run_many(command: str, overrides: Sequence[str]) -> int:
    """Run the sweep; a failing job is reported and does not end it. Returns 0 only if all jobs succeeded."""
    launcher = next((name for name in _RANK_VARIABLES if name in os.environ), None)
    if launcher:
        raise InputError(f"-m cannot be used under mpiexec or torchrun ({launcher} is set): start one run per launch")
    parsed = parse(overrides)
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    # A slip in a key is better reported once, now, than by every job.
    compose_command(command, [o for o, p in zip(overrides, parsed, strict=True) if not p.is_sweep_override()])
    fixed = [override.key_or_group for override in parsed if override.key_or_group not in swept]
    with hydra_ready():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            results = hydra.multirun(command, _job, [*_sweep_settings(fixed), *overrides], with_log_configuration=False)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(command, parsed, error)) from error
    failed = sum(job.return_value for batch in results or [] for job in batch)
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


def _job(config: DictConfig) -> int:
    """One run of the sweep; returns 1 instead of raising, so that the others go on."""
    job = HydraConfig.get()
    command, overrides = str(job.job.config_name), list(job.overrides.task)
    with open_dict(config):
        config.pop("hydra", None)
        config.out = job.runtime.output_dir
    label = f"[{job.job.override_dirname}]"
    try:
        execute(command, resolve(command, config), allowed_modules(parse(overrides)))
    except InputError as error:
        sys.stderr.write(f"torchsag: {label} {error}\n")
        return 1
    except Exception as error:  # a defect in one method must not cost the others' results
        sys.stderr.write(f"torchsag: {label} failed: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(f"{label} -> {OmegaConf.select(config, 'out')}\n")
    return 0
