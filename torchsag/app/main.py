"""The ``torchsag`` command: find the command's yaml, help, or run it.

Nothing heavy is imported before a command really runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from torchsag.app.catalogue import command_keys, command_names, overview
from torchsag.app.completion import completions, script
from torchsag.app.flags import read_flags, with_config_dir
from torchsag.app.help import command_help
from torchsag.app.shorthands import expand_shorthands
from torchsag.app.structure_files import expand_structure_files
from torchsag.app.suggest import did_you_mean
from torchsag.errors import InputError, printable
from torchsag.version import VERSION

_HELP = {"-h", "--help", "help"}
_MULTIRUN = {"-m", "--multirun"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status: 0 done, 1 a defect, 2 unusable input, 3 done but not to be
    trusted (with strict=true), 130 interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(arguments)
    except InputError as error:
        sys.stderr.write(f"torchsag: {printable(str(error))}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"torchsag: interrupted{_carries_on(arguments)}\n")
        return 130


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in _HELP:
        sys.stdout.write(overview())
        return 0
    if arguments[0] == "--version":
        sys.stdout.write(f"torchsag {VERSION}\n")
        return 0
    if arguments[0] == "--complete":
        sys.stdout.write("".join(f"{word}\n" for word in completions(arguments[1:])))
        return 0
    if arguments[0] == "--completion":
        sys.stdout.write(script(" ".join(arguments[1:])))
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in command_names():
        raise InputError(
            f"expected one of the commands {', '.join(command_names())}, got {command!r}"
            f"{did_you_mean(command, command_names())}"
        )
    if any(word in _HELP for word in rest):
        sys.stdout.write(command_help(command, [word for word in rest if word not in _HELP]))
        return 0
    flags = read_flags(rest)
    _refuse_flags(command, flags.words)
    words = expand_structure_files(expand_shorthands(command, with_config_dir(flags.words, flags.config_dir)))
    from torchsag.app.experiment_files import expand_experiment_files
    from torchsag.app.method_choice import choose_methods

    words = choose_methods(command, expand_experiment_files(command, words))
    if flags.cfg or flags.info:
        from torchsag.app.showing import show

        return show(command, words, flags)
    if flags.several:
        from torchsag.app.multirun import run_many

        return run_many(command, words)
    from torchsag.app.single_run import run_one

    return run_one(command, words)


def _carries_on(arguments: list[str]) -> str:
    """What an interrupted command may promise: only those with a key ``resume`` keep what is finished."""
    several = any(word in _MULTIRUN for word in arguments)
    if not arguments or arguments[0] not in command_names():
        return ""
    if several or "resume=false" in arguments or "resume" not in command_keys(arguments[0]):
        return ""
    return "; the same command carries on from what is finished"


def _refuse_flags(command: str, overrides: Sequence[str]) -> None:
    """Settings are ``key=value``; anything else is a slip worth a sentence of its own."""
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            raise InputError(f"expected key=value, got {word!r}; `torchsag {command} --help` lists the keys")
