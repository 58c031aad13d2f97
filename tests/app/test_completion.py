"""What may follow on a command line, asked directly and by the shells themselves."""

import os
import shutil
import subprocess
import sys

import pytest

from torchsag.app.catalogue import command_names
from torchsag.app.completion import SCRIPTS, completions
from torchsag.app.explanations import explain
from torchsag.app.main import main


def test_commands():
    assert set(completions([""])) == {*command_names(), "--help", "--version", "--completion"}
    assert completions(["al"]) == ["align"]
    assert completions(["nonsense", ""]) == []
    assert completions(["--completion", "z"]) == ["zsh"]


@pytest.mark.parametrize("command", command_names())
def test_every_key_that_help_lists_and_none_twice(command):
    explained = explain(command)
    keys = {f"{key.name}=" for key in explained.keys if not key.value.startswith("$") and "." not in key.name}
    found = completions([command, ""])
    assert keys | {f"{slot.word}=" for slot in explained.slots if slot.choices} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["align", "particles=p", "par"], ["part=", "parallel="]),
        (["align", "method=xu"], ["method=xu_alber", "method=xu_alber_gain_ratio"]),
        (["align", "resume="], ["resume=true", "resume=false"]),
        (["align", "method=sag", "method.max_c"], ["method.max_candidates="]),
        (["align", "method.keep"], ["method.keep="]),
        (["align", "method=sag", "method.keep"], []),
        (["align", "loss@method.loss=st"], []),
        (["align", "method=sag", "loss@method.loss=st"], ["loss@method.loss=student_t"]),
        (["align", "--help", "method=sag_"], ["method=sag_basic"]),
        (["align", "reference="], []),
        (["compare", "sn"], ["snr="]),
        (["average", "mask=s"], ["mask=sphere"]),
        (["average", "report=a"], ["report=average"]),
    ],
)
def test_keys_choices_and_fields(words, expected):
    assert completions(words) == expected


def test_what_is_offered_is_understood(capsys):
    for word in completions(["align", "method="]):
        assert main(["align", "--help", word]) == 0
    assert main(["--complete", "align", "method=chen"]) == 0
    assert capsys.readouterr().out.endswith("method=chen_frm\n")


def test_an_unknown_shell(capsys):
    assert main(["--completion", "basch"]) == 2
    assert "expected one of bash, zsh, fish, got 'basch'; did you mean 'bash'?" in capsys.readouterr().err
    assert main(["--completion"]) == 2


@pytest.fixture
def shell(tmp_path):
    """A function that runs a script in a shell that knows torchsag's completion, in a folder with two files."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/torchsag"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m torchsag "$@"\n')
    program.chmod(0o755)
    for name in ("reference.mrc", "refined map.mrc"):
        (tmp_path / name).touch()

    def run(name, script):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        (tmp_path / f"completion.{name}").write_text(SCRIPTS[name])
        surroundings = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        words = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
        before = "compdef() { : }\n" if name == "zsh" else ""  # which compinit brings
        command = [name, *words, "-c", f"{before}. ./completion.{name}\n{script}"]
        done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.stdout.splitlines()

    return run


LINES = [
    ("torchsag alig", ["align"]),
    ("torchsag align method=xu", ["method=xu_alber", "method=xu_alber_gain_ratio"]),
    ("torchsag align optimizer@method.optimizer=svr", ["optimizer@method.optimizer=svrg"]),
    ("torchsag align reference=ref", ["reference=reference.mrc", "reference=refined map.mrc"]),
    ("torchsag align reference=r.mrc resu", ["resume="]),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_bash(shell, line, expected):
    # Readline splits at = before it puts a completion in.
    ask = f"COMP_LINE='{line}' COMP_POINT={len(line)}; _torchsag; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    typed = line.split()[-1]
    start = typed.partition("=")[0] + "=" if "=" in typed else ""
    assert sorted(start + word for word in shell("bash", ask)) == expected


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_fish(shell, line, expected):
    found = [word.partition("\t")[0].replace("\\ ", " ") for word in shell("fish", f"complete -C '{line}'")]
    assert sorted(found) == expected


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_zsh(shell, line, expected):
    # Without a terminal zsh completes nothing: what the function would offer is printed instead.
    stand_ins = (
        "compadd() { [[ $1 == -S ]] && shift 2; shift; print -l -- $@ }\n"
        "compset() { prefix=${words[CURRENT]%%=*}= }\n"
        '_files() { for f in ${words[CURRENT]#*=}*; do print -- "$prefix$f"; done }\n'
    )
    assert shell("zsh", f"{stand_ins}words=({line}); CURRENT=$#words; _torchsag") == expected
