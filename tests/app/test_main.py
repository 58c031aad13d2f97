import subprocess
import sys

import pytest

import torchsag
from torchsag.app.catalogue import command_names
from torchsag.app.main import main


def test_overview_lists_every_command(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for name in command_names():
        assert f"\n  {name} " in printed


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"torchsag {torchsag.__version__}\n"


@pytest.mark.parametrize("command", command_names())
def test_every_command_explains_its_keys(command, capsys):
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"torchsag {command}" in printed
    assert "out:" in printed
    assert "\n_target_" not in printed
    assert "defaults:" not in printed


def test_unknown_command(capsys):
    assert main(["algin"]) == 2
    assert "did you mean 'align'?" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--out", "particles"])
def test_words_that_are_not_settings(word, capsys):
    assert main(["align", word]) == 2
    assert f"expected key=value, got {word!r}" in capsys.readouterr().err


def test_help_starts_without_torch_or_hydra():
    code = (
        "import sys; from torchsag.app.main import main; main(['align', '--help']); "
        "sys.exit(bool({'torch', 'hydra', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_module_and_exit_status():
    run = subprocess.run([sys.executable, "-m", "torchsag", "nonsense"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("torchsag: expected one of the commands")
    assert run.stdout == ""
