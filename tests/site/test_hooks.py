"""What the hooks write into the site while it is built."""

import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("latex2mathml")

from torchsag.app.catalogue import choices, command_names
from torchsag.app.explanations import explain

ROOT = Path(__file__).resolve().parents[2]


def hook(name):
    found = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("command", command_names())
def test_every_key_of_a_command_is_on_its_page_with_its_meaning(command):
    page = hook("reference").commands_page()
    for key in explain(command).keys:
        assert f"| `{key.name}` |" in page
        assert key.meaning.replace("|", "\\|") in page


def test_every_component_is_on_its_page_with_its_keys():
    page = hook("reference").components_page()
    for group in ("method", "loss", "optimizer", "search", "pipeline"):
        for name in choices(group):
            assert f"### {name} {{ #{group}-{name} }}" in page
            for key in explain(f"{group}/{name}").keys:
                assert f"| `{group}.{key.name}` |" in page


def test_figures_are_those_of_the_measurements():
    rows = json.loads((ROOT / "experiments" / "benchmarks" / "align.json").read_text())["rows"]
    table = hook("figures").table_of("accuracy").splitlines()
    assert len(table) == 2 + len(rows)
    for line, row in zip(table[2:], rows, strict=True):
        assert line.startswith(f"| {row['snr']:g} | ")
        assert f"{row['median_rotation_deg']:.2f} deg" in line


def test_a_page_that_asks_for_a_figure_gets_it():
    figures = hook("figures")
    assert figures.on_page_markdown("a\n<!-- figure: scaling -->\nb") == f"a\n{figures.table_of('scaling')}\nb"
    with pytest.raises(Exception, match="expected one of accuracy"):
        figures.on_page_markdown("<!-- figure: nonsense -->")


@pytest.mark.parametrize("name", sorted(hook("figures").FIGURES))
def test_every_figure_has_rows_and_is_asked_for(name):
    lines = hook("figures").table_of(name).splitlines()
    assert len(lines) > 2
    assert len({line.count("|") for line in lines}) == 1
    assert any(f"<!-- figure: {name} -->" in page.read_text() for page in (ROOT / "docs").rglob("*.md"))


def test_formulas_become_mathml():
    written = '<p><span class="arithmatex">\\(a &lt; b_1\\)</span></p><div class="arithmatex">\\[\nx^2\n\\]</div>'
    shown = hook("mathematics").on_page_content(written)
    assert shown.count("<math ") == 2
    assert 'display="block"' in shown
    assert "arithmatex" not in shown


def test_findings_of_the_verdict_are_listed():
    page = hook("reference").verdict_page()
    assert "| `hand_opposite` | " in page
    assert "| `noise_alone` | " in page


def test_the_gallery_shows_every_example():
    page = hook("gallery").gallery_page()
    for path in (ROOT / "experiments" / "examples").glob("*.py"):
        assert f'??? example "{path.name}"' in page
