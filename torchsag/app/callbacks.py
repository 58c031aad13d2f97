"""hydra's callbacks around a single run, as ``hydra.main`` calls them; a sweep's are hydra's own business."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from torchsag.errors import InputError
from torchsag.launch import Launch

if TYPE_CHECKING:
    from torchsag.runs.outcome import Outcome


def with_callbacks(command: str, config: DictConfig, run: Callable[[], Outcome | None]) -> Outcome | None:
    """Run between ``on_run_start`` and ``on_run_end``, on the first process.

    Parameters
    ----------
    command
        Its name.
    config
        The whole configuration, hydra's part included.
    run
        Does the work; its merit is what callbacks are given as the job's result.
    """
    if not config.hydra.callbacks or Launch.of(os.environ).rank > 0:
        return run()
    with open_dict(config.hydra):
        config.hydra.runtime.output_dir = os.path.abspath(str(config.get("out", ".")))
    HydraConfig.instance().set_config(config)
    try:
        callbacks, job = Callbacks(config), _job(command, config)
    except HydraException as error:
        raise InputError(f"hydra.callbacks: {' '.join(str(error).split())}") from error
    callbacks.on_run_start(config=config, config_name=command)
    callbacks.on_job_start(config=config, task_function=lambda _: run())
    try:
        outcome = run()
        job.status, job.return_value = JobStatus.COMPLETED, None if outcome is None else outcome.merit
        return outcome
    except BaseException as error:
        job.status, job.return_value = JobStatus.FAILED, error
        raise
    finally:
        callbacks.on_job_end(config=config, job_return=job)
        callbacks.on_run_end(config=config, config_name=command, job_return=job)


def _job(command: str, config: DictConfig) -> JobReturn:
    task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    hydra = OmegaConf.masked_copy(config, ["hydra"])
    words = OmegaConf.to_container(config.hydra.overrides.task)
    assert isinstance(words, list)
    return JobReturn(overrides=[str(word) for word in words], cfg=task, hydra_cfg=hydra, task_name=command)
