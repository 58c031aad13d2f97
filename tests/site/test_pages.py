"""What the pages say of the house is so."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from torchsag.app.composition import compose_command
from torchsag.app.method_choice import choose_methods
from torchsag.app.shorthands import expand_shorthands
from torchsag.app.structure_files import expand_structure_files

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def first_sentence(path):
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def rooms():
    return {f"`{path.parent.name}/`": first_sentence(path) for path in (ROOT / "torchsag").glob("*/__init__.py")}


def modules():
    paths = [path for path in (ROOT / "torchsag").glob("*.py") if path.stem not in ("__init__", "__main__")]
    return {f"`{path.name}`": first_sentence(path) for path in paths}


@pytest.mark.parametrize(("name", "purpose"), sorted(rooms().items()))
def test_every_room_is_listed_with_its_purpose(name, purpose):
    assert purpose
    assert f"| {name} | {purpose} |" in (ROOT / "CONTRIBUTING.md").read_text()


def test_what_is_listed_is_there():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| room |")[2].partition("\n\n")[0]
    listed = dict(re.findall(r"^\| (`[^`]+`) \| (.*) \|$", table, flags=re.MULTILINE))
    assert listed.items() <= {**rooms(), **modules()}.items()


def test_the_readme_is_short_and_has_the_two_commands():
    assert len(README.splitlines()) <= 130
    begin = "python3 -m venv .venv && . .venv/bin/activate && pip install -e"
    assert f"{begin} . && torchsag demo\n" in README
    assert f"{begin} '.[dev]' && pytest\n" in README


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_of_pages_outside_of_the_site_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        made_by_the_site = target == "docs/gallery.md"
        assert target.startswith("https://") or made_by_the_site or (page.parent / target).exists(), target


def test_one_version():
    version = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()


def commands(page):
    """What pages tell the reader to type, but for what only a shell, a sweep or own files can fill in."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.search(r"\btorchsag ([a-z]+) (.*)", line)
            if found is None or re.search(r"hydra\.searchpath|--config-dir|experiment=\S+\.yaml", line):
                continue
            words = [
                word.strip("[]") if word.startswith("[") else word for word in shlex.split(found[2], comments=True)
            ]
            words = [word for word in words if "=" in word or word.startswith("~")]
            words = [
                word
                for word in words
                if "..." not in word and not word.startswith(("hydra/", "hydra.")) and "interval(" not in word
            ]
            yield found[1], [word if "[" in word else word.partition(",")[0] for word in words]


@pytest.mark.parametrize(
    ("command", "words"), [pytest.param(*c, id=" ".join([c[0], *c[1]])) for page in PAGES for c in commands(page)]
)
def test_commands_on_pages_can_be_composed(command, words):
    """The command, its keys and its components exist."""
    composed = compose_command(
        command, choose_methods(command, expand_structure_files(expand_shorthands(command, words)))
    )
    assert composed["_target_"].startswith("torchsag.workflows.")


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_files_that_a_page_shows_are_taken_in(page):
    """A formatter reads the mark ``--8<--`` in a block of Python as arithmetic; such blocks say ``{ .python }``."""
    assert "8 < " not in page.read_text(encoding="utf-8")
