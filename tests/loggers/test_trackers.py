"""TensorBoard, MLflow and Weights & Biases, read back; each where it is installed."""

import importlib
import multiprocessing
from pathlib import Path

import pytest

from torchsag.errors import InputError
from torchsag.loggers import Started, logged, note
from torchsag.loggers.mlflow import MLflowLogger, _allowed
from torchsag.loggers.tensorboard import TensorBoardLogger
from torchsag.loggers.wandb import WandbLogger

TRACKERS = {"tensorboard": TensorBoardLogger(), "mlflow": MLflowLogger(), "wandb": WandbLogger()}


def keep(logger, out):
    with logged(logger, Started("align", Path(out), "seed: 3\nmethod: {rounds: 2}\n")):
        note("chunk", {"median_score": 0.5}, advance=64)
        note("chunk", {"median_score": 0.25}, advance=36)
        note("trial", {"error": 1.5}, "SNR 0.1, loss=a/sag")


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_is_named(name, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, {"tensorboard": "torch.utils.tensorboard"}.get(name, name), None)
    with pytest.raises(InputError, match=rf"pip install 'torchsag\[{name}\]'"):
        keep(TRACKERS[name], tmp_path)


@pytest.mark.slow
def test_tensorboard(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    keep(TensorBoardLogger(), tmp_path)
    found = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    events = [(event.step, event.value) for event in found.Scalars("chunk/median_score")]
    assert events == [(64, 0.5), (100, 0.25)]
    assert found.Scalars("trial/SNR 0.1, loss=a/sag/error")[0].value == 1.5


@pytest.mark.slow
def test_mlflow_of_two_jobs_at_a_time(tmp_path):
    pytest.importorskip("mlflow")
    logger = MLflowLogger(str(tmp_path / "mlflow"))
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=keep, args=(logger, str(tmp_path / name))) for name in ("one", "two")]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0]
    client = importlib.import_module("mlflow").MlflowClient(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("torchsag").experiment_id
    runs = client.search_runs([experiment])
    assert {run.info.run_name for run in runs} == {"one", "two"}
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.params == {"seed": "3", "method.rounds": "2"}
        history = client.get_metric_history(run.info.run_id, "chunk/median_score")
        assert [(metric.step, metric.value) for metric in history] == [(64, 0.5), (100, 0.25)]
        assert run.data.metrics["trial/SNR 0.1_ loss_a/sag/error"] == 1.5


@pytest.mark.slow
def test_wandb_stays_on_this_machine(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    keep(WandbLogger(), tmp_path)
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert any(path.stat().st_size > 0 for path in run.glob("*.wandb"))


def test_names_that_mlflow_takes():
    assert _allowed("trial/SNR 0.1, loss=ä/x") == "trial/SNR 0.1_ loss__/x"
