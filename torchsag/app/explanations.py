"""What each key of a yaml file in ``conf/`` means, told once and shown wherever it is asked for.

A key is explained by the docstring of the class that the yaml is for; where that has no such field, as for words that
several components read, by the comment above the key in the yaml. A test sees to it that no key has both. Help,
completion and the reference pages of the documentation are all made of this. Nothing is imported for it: classes are
read as text, so that help answers at once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from torchsag.app.catalogue import choices, command_names, conf_folder

_KEY = re.compile(r"^(?P<indent> *)(?P<name>\w+):(?: +(?P<value>.*))?$")
_SLOT = re.compile(r"^ +- (?P<override>override )?/?(?P<group>[\w/]+)(?:@(?P<place>[\w.]+))?: *(?P<chosen>\S+)")
_VARIED = re.compile(r"^ +- ([a-z]\w*)$")
_CLASSIFIER_HOME = "torchsag.classification."


@dataclass(frozen=True)
class Key:
    """One setting: its name (nested ones with dots), its value as the yaml has it, and what it means."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Slot:
    """A place for a component: the word that fills it, what fits, what is taken (null for none), and what it is for."""

    word: str
    choices: tuple[str, ...]
    chosen: str
    meaning: str


@dataclass(frozen=True)
class Explanation:
    """A yaml file explained.

    Attributes
    ----------
    target
        Dotted name of the class; empty where the yaml only varies another one.
    summary
        The first sentence about it.
    text
        The whole comment at the top of the yaml.
    keys, slots
        Its settings, and its places for components.
    """

    target: str
    summary: str
    text: str
    keys: tuple[Key, ...]
    slots: tuple[Slot, ...]


@cache
def explain(name: str) -> Explanation:
    """Explain a command (``align``) or a component (``method/sag``)."""
    lines = _text(name).splitlines()
    varied = _varied(name, lines)
    target = _target(lines) or (varied.target if varied else "")
    documented, attributes = documentation(target)
    slots = tuple(_slot(found, name, attributes) for line in lines if (found := _SLOT.match(line)))
    parts = _parts(lines, slots)
    keys = tuple(
        Key(key, value, in_words_of_yaml(own or _documented(key, attributes, parts) or shared))
        for key, value, own, shared in _keys(lines)
    )
    text = "\n".join(_header(lines)) or in_words_of_yaml(documented)
    found = Explanation(target, text.partition("\n")[0], text, keys, slots)
    return _completed(found, varied) if varied else found


def _varied(name: str, lines: list[str]) -> Explanation | None:
    """The component of the same group that a yaml starts from."""
    group = name.rpartition("/")[0]
    starts = (found.group(1) for line in lines if (found := _VARIED.match(line)))
    return next((explain(f"{group}/{start}") for start in starts if group and start in choices(group)), None)


def _completed(variant: Explanation, varied: Explanation) -> Explanation:
    """A variant says only what it changes: what that means stands where the original is explained."""
    keys = {key.name: key.meaning for key in varied.keys}
    slots = {slot.word: slot.meaning for slot in varied.slots}
    return replace(
        variant,
        keys=tuple(replace(key, meaning=key.meaning or keys.get(key.name, "")) for key in variant.keys),
        slots=tuple(replace(slot, meaning=slot.meaning or slots.get(slot.word, "")) for slot in variant.slots),
    )


def _documented(key: str, attributes: dict[str, str], parts: dict[str, str]) -> str:
    """What the class of a key's own part says of it, else what the yaml's class says of the whole part."""
    path, _, name = key.rpartition(".")
    own = documentation(parts.get(path, ""))[1] if path else attributes
    whole, _, part = path.partition(".")
    return own.get(name) or (documentation(parts.get(whole, ""))[1] if part else attributes).get(part or whole, "")


def _parts(lines: list[str], slots: tuple[Slot, ...]) -> dict[str, str]:
    """The class behind each nested block: named in it, or that of the component taken there."""
    parts = {}
    for slot in slots:
        if slot.chosen in slot.choices:
            group, _, place = slot.word.partition("@")
            parts[place or group] = explain(f"{group}/{slot.chosen}").target
    parents: list[str] = []
    for line in lines:
        if (found := _KEY.match(line)) and not found["value"]:
            parents = [*parents[: len(found["indent"]) // 2], found["name"]]
        elif found and found["name"] == "_target_" and found["indent"]:
            parts[".".join(parents[: len(found["indent"]) // 2])] = found["value"]
    return parts


def _header(lines: list[str]) -> list[str]:
    """The comment at the top, without the marks of comments and what hydra reads from them."""
    top = []
    for line in lines:
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            top.append(line[1:].removeprefix(" ").rstrip())
    return top


def _target(lines: list[str]) -> str:
    return next((line.split()[1] for line in lines if line.startswith("_target_:")), "")


def in_words_of_yaml(text: str) -> str:
    """A docstring's sentence as it is read beside a yaml: ``None`` is null there."""
    for python, yaml in (("None", "null"), ("True", "true"), ("False", "false")):
        text = re.sub(rf"`*\b{python}\b`*", yaml, text)
    return text.replace("``", "`")


def commented_keys(name: str) -> list[str]:
    """The keys of a yaml that have a comment of their own."""
    return [key for key, _, own, _ in _keys(_text(name).splitlines()) if own]


def documented_keys(name: str) -> list[str]:
    """The keys of a yaml that a class explains."""
    lines = _text(name).splitlines()
    explained = explain(name)
    attributes, parts = documentation(explained.target)[1], _parts(lines, explained.slots)
    return [key for key, *_ in _keys(lines) if _documented(key, attributes, parts)]


def summary(name: str) -> str:
    """The first sentence about a command or component."""
    lines = _text(name).splitlines()
    header = _header(lines)
    return header[0] if header else in_words_of_yaml(documentation(_target(lines))[0].replace("\n", " "))


def _keys(lines: list[str]) -> Iterator[tuple[str, str, str, str]]:
    """Name, value, comment of each key, and the comment of the keys on the lines before that it may share."""
    comment: list[str] = []
    meaning, parents, inside = "", [], False
    for line in lines[len(_leading_comment(lines)) :]:
        found = _KEY.match(line)
        if line.lstrip().startswith("#"):
            comment.append(line.strip()[1:].strip())
        elif found is None or found["name"] in ("defaults", "_target_"):
            inside = line.startswith("defaults") or (inside and line.startswith(" "))
            comment, meaning = [], ""
        elif not (inside and found["indent"]):
            inside = False
            depth = len(found["indent"]) // 2
            name = ".".join([*parents[:depth], found["name"]])
            value, _, note = (found["value"] or "").partition(" # ")
            own = " ".join(comment) or note
            meaning = own or (meaning if depth == len(parents) else "")
            comment, parents = [], parents[:depth]
            if value:
                yield name, value.strip(), own, meaning
            else:
                parents, meaning = [*parents, found["name"]], ""


def _leading_comment(lines: list[str]) -> list[str]:
    return lines[: next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))]


def _slot(found: re.Match[str], name: str, attributes: dict[str, str]) -> Slot:
    group, place = found["group"], found["place"] or found["group"]
    word = group if place == group else f"{group}@{place}"
    note = found.string.partition(" # ")[2]
    meaning = in_words_of_yaml(note or attributes.get(place, attributes.get(place.partition(".")[0], "")))
    return Slot(word, tuple(fitting(group, name, place)), found["chosen"], meaning)


def fitting(group: str, name: str, place: str) -> list[str]:
    """The components of a group that a place takes: methods that classify, or that align; the command's own report."""
    if group == "report" and name in command_names():
        chosen = re.search(r"^ +- report: *(\w+)", _text(name), re.MULTILINE)
        return [chosen[1]] if chosen else choices(group)  # each report is of one command's files
    if group != "method":
        return choices(group)
    wanted = (name, place) == ("classify", "method") or _classifies(name)
    return [choice for choice in choices(group) if _classifies(f"{group}/{choice}") == wanted]


def _classifies(name: str) -> bool:
    return name.startswith("method/") and _target(_text(name).splitlines()).startswith(_CLASSIFIER_HOME)


def _text(name: str) -> str:
    return (conf_folder() / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def documentation(target: str) -> tuple[str, dict[str, str]]:
    """What a class of torchsag says about itself, and about each of its attributes, inherited ones included."""
    module, _, name = target.rpartition(".")
    path = Path(__file__).parents[1].joinpath(*module.split(".")[1:])
    source = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    if not module.startswith("torchsag") or not source.is_file():
        return "", {}
    tree = ast.parse(source.read_text(encoding="utf-8"))
    node = next((n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name), None)
    if node is None:
        return "", {}
    text = ast.get_docstring(node) or ""
    inherited: dict[str, str] = {}
    for base in node.bases if isinstance(node, ast.ClassDef) else []:
        home = _imported(tree, ast.unparse(base)) or f"{module}.{ast.unparse(base)}"
        inherited |= documentation(home)[1]
    return text.partition("\n\n")[0], inherited | attributes_of(text)


def _imported(tree: ast.Module, name: str) -> str | None:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return f"{node.module}.{name}"
    return None


def attributes_of(docstring: str) -> dict[str, str]:
    """The section *Attributes* of a docstring in numpydoc's form."""
    _, _, section = docstring.partition("Attributes\n----------\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if re.fullmatch(r"-+", line):  # the next section has begun: its title was no attribute
            for name in names:
                found.pop(name, None)
            break
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(":")[0].split(",")]
            found |= dict.fromkeys(names, "")
        elif line:
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return found
