"""``experiment=mine.yaml``: settings of one's own in a file, for any command."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from torchsag.app.catalogue import choices, conf_folder
from torchsag.app.yaml_limits import limited_text
from torchsag.errors import InputError

_GROUP = "experiment"
_ENDINGS = (".yaml", ".yml")
_LARGEST = 1 << 20


def expand_experiment_files(command: str, words: Sequence[str]) -> list[str]:
    """Let hydra know the files that ``experiment=`` names, and name them as hydra does.

    Raises
    ------
    InputError
        If a file is missing, no yaml of settings, or goes by the name of one of torchsag's own experiments.
    """
    return [_expanded(command, word) for word in words]


def _expanded(command: str, word: str) -> str:
    key, _, value = word.partition("=")
    if key.lstrip("+") != _GROUP:
        return word
    names = [name.strip("'\"") for name in value.split(",")]
    if not any(name.endswith(_ENDINGS) for name in names):
        return word
    known = [_known(name) if name.endswith(_ENDINGS) else name for name in names]
    return f"{'' if _has_slot(command) else '+'}{_GROUP}={','.join(known)}"


def _known(name: str) -> str:
    path = Path(name)
    settings = _read(path)
    stem = re.sub(r"[^\w.-]", "_", path.stem)
    if stem in choices(_GROUP):
        raise InputError(f"experiment={name}: {stem} is one of torchsag's own experiments; give the file another name")
    ConfigStore.instance().store(group=_GROUP, name=stem, package="_global_", node=settings)
    return stem


def _read(path: Path) -> DictConfig:
    try:
        if not path.is_file():
            raise InputError(f"experiment: expected a yaml file, got {path}: no such file; check the path")
        if path.stat().st_size > _LARGEST:
            raise InputError(f"experiment: expected settings, at most {_LARGEST} bytes, got {path}, which is larger")
        with path.open(encoding="utf-8") as file:
            settings = OmegaConf.load(io.StringIO(limited_text(f"experiment: {path}", file)))
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise InputError(f"experiment: expected a yaml file, got {path}, which cannot be read: {said}") from error
    if not isinstance(settings, DictConfig):
        raise InputError(f"experiment: expected keys and their values, got {path}, which holds something else")
    return settings


def _has_slot(command: str) -> bool:
    return f"- {_GROUP}:" in (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8")
