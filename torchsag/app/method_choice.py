"""``methods=[sag,chen_frm]``: which methods `compare` runs, in place of a word for each that is added or left out."""

from __future__ import annotations

from collections.abc import Sequence

from hydra import compose
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from torchsag.app.catalogue import conf_folder
from torchsag.app.composition import explain, hydra_ready, parse
from torchsag.errors import InputError


def choose_methods(command: str, words: Sequence[str]) -> list[str]:
    """Replace ``methods=[...]`` by hydra's words for each method that is added or left out.

    Raises
    ------
    InputError
        If the word is no list of names, lists several lists, or leaves out what another word adds.
    """
    if not any(word.startswith("methods=") for word in words) or not _takes_methods(command):
        return list(words)
    (chosen,) = [word for word in words if word.startswith("methods=")][-1:]
    wanted = _names(chosen)
    others = [word for word in words if not word.startswith("methods=")]
    _refuse_forgotten(chosen, wanted, others)
    taken = _taken(command, others)
    # By key, as an experiment may set parts of the component: hydra finds no place for these if that is not taken.
    edits = [f"~methods.{name}" for name, choice in taken.items() if choice and name not in wanted]
    for name in wanted:
        if name not in taken:
            edits.append(f"+method@methods.{name}={name}")
        elif not taken[name]:
            edits.append(f"method@methods.{name}={name}")
    return [*others, *edits]


def _takes_methods(command: str) -> bool:
    return "@methods." in (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8")


def _names(word: str) -> list[str]:
    (parsed,) = parse([word])
    if parsed.is_sweep_override():
        raise InputError(f"{word}: expected one list for all jobs; method=a,b runs one job for each method")
    value = parsed.value()
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{word}: expected the names of methods, as in methods=[sag,chen_frm]")
    return [str(name) for name in names]


def _refuse_forgotten(chosen: str, wanted: Sequence[str], others: Sequence[str]) -> None:
    """A method that is added by name and not listed would be left out without a word."""
    begin = "+method@methods."
    for word in others:
        name = word[len(begin) :].partition("=")[0]
        if word.startswith(begin) and name not in wanted:
            raise InputError(
                f"{chosen}: expected {name} in the list too, which {word} adds; write "
                f"methods=[{','.join(wanted)},{name}]"
            )


def _taken(command: str, words: Sequence[str]) -> dict[str, str | None]:
    """The methods that there are without the list: those of the command, of an experiment, and of words."""
    parsed = parse(words)
    deciding = [
        str(word.input_line)
        for word in parsed
        if not word.is_sweep_override() and (word.key_or_group in ("method", "experiment") or word.is_hydra_override())
    ]
    with hydra_ready():
        try:
            config = compose(config_name=command, overrides=deciding, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(command, parsed, error)) from error
    before = "method@methods."
    choices = config.hydra.runtime.choices
    return {str(key)[len(before) :]: choices[key] for key in choices if str(key).startswith(before)}
