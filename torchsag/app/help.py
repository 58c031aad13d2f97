"""What ``torchsag COMMAND --help`` prints, of a command or of one of its components."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from torchsag.app.explanations import Explanation, Key, Slot, explain, summary
from torchsag.app.suggest import did_you_mean
from torchsag.errors import InputError

_NONE = {"null": "none"}


def command_help(command: str, words: Sequence[str] = ()) -> str:
    """The command's keys with their defaults, and its components; with ``method=sag`` that component's keys.

    Raises
    ------
    InputError
        If a word names no component that the command has a place for.
    """
    asked = [_asked(command, word) for word in words if "=" in word]
    return "\n".join(asked) if asked else _whole(command)  # each ends its last line


def _whole(command: str) -> str:
    explained = explain(command)
    # What begins with $ follows from another key.
    keys = "".join(_key(key) for key in explained.keys if not key.value.startswith("$"))
    slots = [slot for slot in explained.slots if slot.choices]
    listed = "".join(_slot(slot, slot.word) for slot in slots)
    about = f"`torchsag {command} --help {slots[0].word}=NAME` explains a component's keys" if slots else ""
    chosen = f"\nComponents (set a field with group.field=value; {about}):\n{listed}" if slots else ""
    return f"Usage: torchsag {command} [key=value ...]\n\n{explained.text}\n\nKeys and their defaults:\n{keys}{chosen}"


def _key(key: Key, place: str = "") -> str:
    shown = f"{place}{key.name}={key.value}" if key.value != "???" else f"{place}{key.name}=...  (needed)"
    return f"  {shown}\n{_indented(key.meaning)}"


def _slot(slot: Slot, word: str) -> str:
    """A place for a component: each choice in a line, the one that is taken unless told otherwise marked."""
    group = slot.word.partition("@")[0]
    width = max(map(len, slot.choices))
    lines = [
        f"      {choice:<{width}}  {'(default) ' if choice == slot.chosen else ''}{summary(f'{group}/{choice}')}\n"
        for choice in slot.choices
    ]
    default = "" if slot.chosen in slot.choices else f"  (default: {_NONE.get(slot.chosen, slot.chosen)})"
    return f"  {word}=NAME{default}\n{_indented(slot.meaning)}{''.join(lines)}"


def _indented(text: str) -> str:
    return textwrap.fill(text, 120, initial_indent=" " * 6, subsequent_indent=" " * 6) + "\n"


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
    keys = "".join(_key(key, f"{place}.") for key in component.keys)
    parts = ""
    for inside in component.slots:
        part, _, inner = inside.word.partition("@")
        if inside.choices:
            parts += _slot(inside, f"{part}@{place}.{inner or part}")
    text = f"  {component.text}".replace("\n", "\n  ")
    default = "  (default)" if name == slot.chosen else ""
    return f"{slot.word}={name}{default}\n{text}\n\n{keys}{parts}"
