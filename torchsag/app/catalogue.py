"""Which commands and components there are: read off the yaml files in ``conf/``, without importing hydra or torch."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path


@cache
def conf_folder() -> Path:
    """The folder of yaml files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"torchsag is installed without its conf/ folder (looked in and beside {package})")


def command_names() -> list[str]:
    """One command per yaml at the top of ``conf/``."""
    return sorted(path.stem for path in conf_folder().glob("*.yaml"))


def command_keys(command: str) -> frozenset[str]:
    """The keys at the top of a command's yaml.

    They are the fields of the command's class; words that several of its components read, such as ``snr``; and what
    concerns the process rather than the work, such as ``threads``.
    """
    text = (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z]\w*):", text, flags=re.MULTILINE))


def choices(group: str) -> list[str]:
    """The components torchsag ships for one group."""
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


def overview() -> str:
    """What ``torchsag --help`` prints."""
    width = max(len(name) for name in command_names())
    lines = [f"  {name:<{width}}  {_summary(name)}" for name in command_names()]
    return (
        "Usage: torchsag COMMAND [key=value ...]      one run\n"
        "       torchsag COMMAND -m key=a,b ...       one run per combination\n"
        "       torchsag COMMAND --help               what the command does and its keys\n"
        "       torchsag --version\n"
        '       torchsag --completion bash            completion for bash, zsh or fish: eval "$(...)"\n\nCommands:\n'
        + "\n".join(lines)
        + "\n"
    )


def _summary(command: str) -> str:
    first = (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8").splitlines()[0]
    return first.lstrip("# ").rstrip()
