"""hydra's callbacks around runs and jobs."""

import json

import pytest

from torchsag.app.main import main

SMALL = ["n=2", "box=16", "voxel_size_angstrom=24", "out=out", "device=cpu", "threads=1", "~report", "snr=1"]
OWN = ["--config-dir", "conf", "allow=[mymethods,mycallbacks]", "method=still"]
_CALLS = '''
import json
import os
from hydra.experimental.callback import Callback


class Calls(Callback):
    """Notes what it is called for."""

    def __init__(self, path="calls.jsonl"):
        self.path = path

    def _note(self, name, job=None):
        status = None if job is None else job.status.name
        merit = None if job is None or status == "FAILED" else job.return_value
        with open(self.path, "a") as file:
            file.write(json.dumps([name, status, merit]) + "\\n")

    def on_run_start(self, config, **kwargs):
        self._note(f"run start {config.seed}")

    def on_run_end(self, config, job_return, **kwargs):
        self._note("run end", job_return)

    def on_multirun_start(self, config, **kwargs):
        self._note("sweep start")

    def on_multirun_end(self, config, **kwargs):
        self._note("sweep end")

    def on_job_start(self, config, **kwargs):
        self._note("job start")

    def on_job_end(self, config, job_return, **kwargs):
        self._note("job end", job_return)
'''


@pytest.fixture
def project(own_project):
    package = own_project / "mycallbacks"
    package.mkdir()
    (package / "calls.py").write_text(_CALLS)
    folder = own_project / "conf" / "hydra" / "callbacks"
    folder.mkdir(parents=True)
    (folder / "calls.yaml").write_text("# @package hydra.callbacks\nown: {_target_: mycallbacks.calls.Calls}\n")
    return own_project


def calls(project):
    return [json.loads(line) for line in (project / "calls.jsonl").read_text().splitlines()]


TYPED = "+hydra.callbacks.own._target_=mycallbacks.calls.Calls"


@pytest.mark.parametrize("word", [TYPED, "hydra/callbacks=calls"])
def test_a_run_calls_back(project, word):
    assert main(["compare", *SMALL, *OWN, word]) == 0
    names = [name for name, *_ in calls(project)]
    assert names == ["run start 0", "job start", "job end", "run end"]
    assert calls(project)[-1][1] == "COMPLETED"
    assert calls(project)[-1][2] > 0


def test_a_failed_run_says_so(project, capsys):
    assert main(["compare", *SMALL, *OWN, TYPED, "method.strength=0"]) == 2
    assert [status for _, status, _ in calls(project)] == [None, None, "FAILED", "FAILED"]


def test_a_sweep_calls_back(project):
    assert main(["compare", *SMALL, *OWN, "-m", "seed=1,2", "hydra/callbacks=calls"]) == 0
    names = [name for name, *_ in calls(project)]
    assert names == ["sweep start", *["job start", "job end"] * 2, "sweep end"]
    assert all(merit > 0 for name, _, merit in calls(project) if name == "job end")


@pytest.mark.parametrize("several", [[], ["-m", "seed=1,2"]], ids=["run", "sweep"])
@pytest.mark.parametrize("target", ["os.system", "mycallbacks.calls.os.system", "subprocess.run"])
def test_a_yaml_brings_callbacks_of_allowed_packages_only(project, capsys, target, several):
    path = project / "conf" / "hydra" / "callbacks" / "calls.yaml"
    path.write_text(f"# @package hydra.callbacks\nown: {{_target_: {target}, command: touch owned}}\n")
    assert main(["compare", *SMALL, *OWN, "hydra/callbacks=calls", *several]) == 2
    assert "expected a c" in capsys.readouterr().err
    assert not (project / "owned").exists()
