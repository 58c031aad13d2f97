"""Reference pages, written while the site is built: commands and components from ``conf/``, the API from the rooms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from torchsag.app.catalogue import choices, command_names, conf_folder
from torchsag.app.explanations import Explanation, explain

PACKAGE = Path(__file__).resolve().parents[2] / "torchsag"
# Pages of sweeps and of the paper's experiments are of their own kind.
_APART = ("experiment", "hydra")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {
        "reference/commands.md": commands_page(),
        "reference/components.md": components_page(),
        "reference/verdict.md": verdict_page(),
        "reference/api.md": rooms_page(),
        **{f"reference/api/{room}.md": api_page(room) for room in rooms()},
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def commands_page() -> str:
    """Every key of every command."""
    head = (
        "# Commands and their keys\n\n"
        "This page is made of the yaml files in `conf/`, as is `torchsag COMMAND --help`. Keys are written "
        "`key=value`; `null` stands for none. A component is exchanged by its name (`method=sag`), its fields are set "
        "with dots (`method.max_candidates=5`), and `~report` leaves one out. "
        "What each component does and which fields it has is on the page of [components](components.md).\n"
    )
    return "\n".join([head, *(_command(name) for name in command_names())])


def _command(name: str) -> str:
    explained = explain(name)
    usage = [line for line in explained.text.splitlines() if line.startswith("  ")]
    prose = "\n".join(line for line in explained.text.splitlines() if not line.startswith("  "))
    sample = "```sh\n" + "\n".join(line.strip() for line in usage) + "\n```\n"
    return f"## {name}\n\n{prose}\n\n{sample}\n{_keys(explained, '')}\n{_slots(explained, '')}"


def components_page() -> str:
    """Every component of every group, with its fields."""
    head = (
        "# Components\n\nWhat can be exchanged by name. Each is one file in `conf/GROUP/` and one class; "
        "[writing your own](../your-own.md) takes the same two.\n"
    )
    groups = sorted(path.name for path in conf_folder().iterdir() if path.is_dir() and path.name not in _APART)
    parts = [head]
    for group in groups:
        parts.append(f"## {group}\n")
        parts += [_component(group, name) for name in choices(group)]
    parts.append(_apart("experiment", "Experiments of the paper"))
    parts += [_apart(f"hydra/{kind}", f"hydra/{kind}") for kind in ("launcher", "sweeper")]
    return "\n".join(parts)


def _component(group: str, name: str) -> str:
    explained = explain(f"{group}/{name}")
    place = f"{group}."
    of_class = f"Class: `{explained.target}`\n" if explained.target else ""
    return (
        f"### {name} {{ #{group}-{name} }}\n\n{explained.text}\n\n{of_class}\n"
        f"{_keys(explained, place)}\n{_slots(explained, place)}"
    )


def _apart(folder: str, title: str) -> str:
    rows = [f"| `{folder}={name}` | {_cell(explain(f'{folder}/{name}').summary)} |" for name in choices(folder)]
    return "\n".join([f"## {title}\n", "| word | |", "|---|---|", *rows, ""])


def _keys(explained: Explanation, place: str) -> str:
    if not explained.keys:
        return ""
    rows = [f"| `{place}{key.name}` | {_value(key.value)} | {_cell(key.meaning)} |" for key in explained.keys]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows, ""])


def _slots(explained: Explanation, place: str) -> str:
    rows = []
    for slot in explained.slots:
        group, _, where = slot.word.partition("@")
        word = f"{group}@{place}{where or group}" if place else slot.word
        links = ", ".join(f"[{name}](components.md#{group}-{name})" for name in slot.choices if group not in _APART)
        links = links or ", ".join(f"`{name}`" for name in slot.choices)
        rows.append(f"| `{word}` | `{slot.chosen}` | {_cell(slot.meaning)} | {links} |")
    return "\n".join(["| component | default | meaning | choices |", "|---|---|---|---|", *rows, ""]) if rows else ""


def _value(value: str) -> str:
    return "required" if value == "???" else f"`{_cell(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def verdict_page() -> str:
    """Every finding of a verdict by its code, and what it finds."""
    head = (
        "# Findings of the verdict\n\nWhat a run can find wrong with itself. Each has its code, its sentence and "
        "its evidence in `metrics.json` and in the report. [Is my map right?](../guides/is-my-map-right.md)\n"
    )
    found = [
        pair
        for path in sorted((PACKAGE / "verdict").glob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
        for pair in _codes(node)
    ]
    rows = sorted(f"| `{code}` | {_cell(said)} |" for code, said in found)
    others = sorted(_codes_in_passing() - {code for code, _ in found})
    tail = f"Said where a run comes upon them: {', '.join(f'`{code}`' for code in others)}."
    return "\n".join([head, "| code | what is found |", "|---|---|", *rows, "", tail, ""])


def _codes_in_passing() -> set[str]:
    texts = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    return {code for text in texts for code in re.findall(r'Finding\(\s*"(\w+)"', text)}


def _codes(check: ast.ClassDef) -> Iterator[tuple[str, str]]:
    said = (ast.get_docstring(check) or "").partition("\n\n")[0].replace("\n", " ")
    for line in check.body:
        named = (
            isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id.endswith("code")
        )
        if named and isinstance(line.value, ast.Constant):
            yield str(line.value.value), said


def rooms() -> dict[str, str]:
    """The packages of torchsag and the first sentence of each."""
    found = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
    return {room.name: _sentence(room / "__init__.py") for room in found}


def _sentence(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def rooms_page() -> str:
    """The list of rooms."""
    rows = [f"| [`torchsag.{name}`](api/{name}.md) | {_cell(purpose)} |" for name, purpose in rooms().items()]
    modules = sorted(path for path in PACKAGE.glob("*.py") if path.stem not in ("__init__", "__main__"))
    alone = [f"| `torchsag.{path.stem}` | {_cell(_sentence(path))} |" for path in modules]
    return "\n".join(
        [
            "# Python API\n",
            "Rooms, one package each; imports point down only ([the layers](../contributing.md)).\n",
            "| room | what it holds |",
            "|---|---|",
            *rows,
            *alone,
            "",
            "## The front door\n",
            "::: torchsag",
            "    options:",
            "      show_submodules: false",
            "      show_root_heading: false",
            "      heading_level: 3",
            "",
        ]
    )


def api_page(room: str) -> str:
    """Everything public in one room."""
    return f"# torchsag.{room}\n\n::: torchsag.{room}\n    options:\n      show_root_heading: false\n"
