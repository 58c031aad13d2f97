"""The README's examples do what it says."""

import json
import re
import shlex
from pathlib import Path

import pytest

from torchsag.app.main import main

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def block(language, beginning):
    """The code block of a language that begins with this."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    return next(text for text in blocks if text.startswith(beginning))


@pytest.fixture
def particles(tmp_path, monkeypatch):
    """A few particles and their reference in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["n=2", "box=24", "voxel_size_angstrom=16", "snr=10", "structure=ribosome", "low_pass_angstrom=null"]
    assert main(["simulate", "out=data", "device=cpu", *words]) == 0
    return tmp_path


def test_a_loss_from_a_folder_of_ones_own(particles):
    for language, beginning in (("python", "# mylosses/cauchy.py"), ("yaml", "# conf/loss/cauchy.yaml")):
        path = particles / beginning[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block(language, beginning))
    command = block("sh", "torchsag align particles=P").replace("\\\n", " ")
    command = command.replace("=P ", "=data/particles.star ").replace("=R ", "=data/reference.mrc ")
    words = shlex.split(command.replace("=DIR", "=out"))
    extra = ["truth=data/particles.star", "method.resolution_angstrom=null", "device=cpu", "~report"]
    assert words[0] == "torchsag"
    assert main([*words[1:], *extra]) == 0
    metrics = json.loads((particles / "out" / "metrics.json").read_text())
    assert max(metrics["particles"]["rotation_error_deg"]) < 3
    assert "mylosses.cauchy.Cauchy" in (particles / "out" / "config.yaml").read_text()


@pytest.mark.parametrize("beginning", ["import torchsag", "from torchsag.alignment"])
def test_python_example(particles, capsys, beginning):
    example = block("python", beginning)
    example = example.replace("particles.star", "data/particles.star").replace("reference.mrc", "data/reference.mrc")
    example = example.replace("range(16)", "range(2)").replace('"D7"', '"C1"')
    exec(compile(example, "README.md", "exec"), {})
    assert "tensor" in capsys.readouterr().out
