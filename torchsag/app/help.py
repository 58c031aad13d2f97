"""What ``torchsag COMMAND --help`` prints, of a command or of one of its components."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torchsag.app.catalogue import conf_folder
from torchsag.app.explanations import Explanation, Slot, explain
from torchsag.app.suggest import did_you_mean
from torchsag.errors import InputError


def command_help(command: str, words: Sequence[str] = ()) -> str:
    """The command's yaml, which documents every key, and its components; with ``method=sag`` that component's keys.

    Raises
    ------
    InputError
        If a word names no component that the command has a place for.
    """
    asked = [_asked(command, word) for word in words if "=" in word]
    return "\n".join(asked) if asked else _whole(command)  # each ends its last line


def _whole(command: str) -> str:
    text = (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8")
    body = re.sub(r"^defaults:\n(?:[ -].*\n)+\n?", "", text, flags=re.MULTILINE)
    body = re.sub(r"^_target_:.*\n\n?", "", body, flags=re.MULTILINE)
    slots = [slot for slot in explain(command).slots if slot.choices]
    listed = "".join(f"  {slot.word}={' | '.join(slot.choices)}\n      {slot.meaning}\n" for slot in slots)
    about = f"`torchsag {command} --help {slots[0].word}=NAME` explains a component's keys" if slots else ""
    chosen = f"\nComponents (set a field with group.field=value; {about}):\n{listed}" if slots else ""
    return f"Usage: torchsag {command} [key=value ...]\n\n{body.rstrip()}\n{chosen}"


def _asked(command: str, word: str) -> str:
    key, _, name = word.partition("=")
    slots = {slot.word: slot for slot in explain(command).slots}
    if key not in slots:
        raise InputError(f"{word}: expected one of {', '.join(slots)}, got {key!r}{did_you_mean(key, slots)}")
    if name not in slots[key].choices:
        known = slots[key].choices
        raise InputError(f"{key}: expected one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}")
    return _component(slots[key], explain(f"{key.partition('@')[0]}/{name}"), name)


def _component(slot: Slot, component: Explanation, name: str) -> str:
    place = slot.word.rpartition("@")[2]
    keys = [f"  {place}.{key.name}={key.value}\n      {key.meaning}" for key in component.keys]
    parts = [
        f"  {part}@{place}.{inner or part}={' | '.join(inside.choices)}\n      {inside.meaning}"
        for inside in component.slots
        for part, _, inner in [inside.word.partition("@")]
        if inside.choices
    ]
    return "\n".join([f"{slot.word}={name}", f"  {component.text}".replace("\n", "\n  "), "", *keys, *parts]) + "\n"
