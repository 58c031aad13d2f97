"""What ``torchsag COMMAND --help`` prints, of a command or of one of its components."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torchsag.app.explanations import Key, Slot, explain, summary
from torchsag.app.suggest import did_you_mean
from torchsag.errors import InputError

_NONE = {"null": "none"}


def command_help(command: str, words: Sequence[str] = ()) -> str:
    """The command's keys with their defaults, and its components; with ``method=sag`` that component's keys.

    Parts of components are explained after the component they are in: ``method=sag loss@method.loss=student_t``.

    Raises
    ------
    InputError
        If a word names no component that the command has a place for.
    """
    slots = {slot.word: slot for slot in explain(command).slots}
    asked = []
    for word in sorted((word for word in words if "=" in word), key=_depth):
        slot, name = _asked(word, slots)
        asked.append(_component(slot, name))
        slots |= _inside(slot, name)
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


def _depth(word: str) -> int:
    """How deep inside of components a word lies."""
    return word.partition("=")[0].count(".")


def _asked(word: str, slots: Mapping[str, Slot]) -> tuple[Slot, str]:
    """The place that ``place=name`` means: one of those given, or inside of what they are unless told otherwise."""
    key, _, name = word.partition("=")
    known = dict(slots)
    for slot in slots.values():
        known |= _inside(slot, slot.chosen)
    if key not in known:
        part = "; say first what it is a part of, as in method=sag loss@method.loss=student_t" if "@" in key else ""
        hint = did_you_mean(key, known) or part
        raise InputError(f"{word}: expected one of {', '.join(slots)}, got {key!r}{hint}")
    choices = known[key].choices
    if name not in choices:
        raise InputError(f"{key}: expected one of {', '.join(choices)}, got {name!r}{did_you_mean(name, choices)}")
    return known[key], name


def _inside(slot: Slot, name: str) -> dict[str, Slot]:
    """The places for components that a component itself has."""
    if name not in slot.choices:
        return {}
    place = slot.word.rpartition("@")[2]
    words = {}
    for inside in explain(f"{slot.word.partition('@')[0]}/{name}").slots:
        part, _, inner = inside.word.partition("@")
        word = f"{part}@{place}.{inner or part}"
        words[word] = replace(inside, word=word)
    return words


def _component(slot: Slot, name: str) -> str:
    component = explain(f"{slot.word.partition('@')[0]}/{name}")
    place = slot.word.rpartition("@")[2]
    keys = "".join(_key(key, f"{place}.") for key in component.keys)
    parts = "".join(_slot(inside, word) for word, inside in _inside(slot, name).items() if inside.choices)
    text = f"  {component.text}".replace("\n", "\n  ")
    default = "  (default)" if name == slot.chosen else ""
    return f"{slot.word}={name}{default}\n{text}\n\n{keys}{parts}"
