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
    assert "  out=" in printed
    assert "\n_target_" not in printed
    assert "\ndefaults:" not in printed


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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["algin"], "did you mean 'align'?"),
        (["align", "particles=here", "reference=r", "out=o", "chunck=1"], "did you mean 'chunk'?"),
        (["align", "particles=here", "reference=r", "out=o", "method=sagg"], "method: expected one of"),
        (
            ["align", "particles=here", "reference=r.mrc", "out=o"],
            "particles: expected a file or folder, got here:",
        ),
        (["average", "particles=*.mrc", "out=o"], "particles: expected at least one volume"),
        (
            ["simulate", "structure=none.pdb", "out=o"],
            "structure.path: expected a file or folder, got none.pdb:",
        ),
        (["compare", "particles=.", "reference=none.mrc", "trials=listed", "out=o"], "trials.reference: expected a"),
    ],
)
def test_slips_are_answered_before_torch_is_loaded(words, expected, tmp_path):
    code = (
        "import sys; from torchsag.app.main import main; status = main(sys.argv[1:]); "
        "sys.exit(status if 'torch' not in sys.modules else 100)"
    )
    command = [sys.executable, "-c", code, *words]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 2, run.stderr
    assert expected in run.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "promised"),
    [
        (["compare", "out=o"], True),
        (["align", "out=o"], True),
        (["align", "out=o", "resume=false"], False),
        (["align", "-m", "out=o"], False),
        (["convert", "in=a", "out=b"], False),
        (["duplicates", "out=o"], False),
    ],
)
def test_an_interrupted_command_promises_only_what_is_true(monkeypatch, capsys, words, promised):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("torchsag.app.main._dispatch", interrupted)
    assert main(words) == 130
    assert ("carries on" in capsys.readouterr().err) == promised


@pytest.mark.parametrize(
    "variables", [{"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, {"PMI_RANK": "0", "PMI_SIZE": "2"}]
)
def test_a_command_that_shares_no_work_refuses_several_processes(monkeypatch, capsys, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["bench"]) == 2
    assert "bench: expected one process, got 2" in capsys.readouterr().err


def test_one_process_of_a_launcher_is_one_process(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    assert main(["bench"]) == 0
