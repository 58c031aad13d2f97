"""The gallery: each example with what it says of itself, the picture it makes, and its text."""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "experiments" / "examples"
PICTURES = ROOT / "docs" / "images" / "gallery"
_HEAD = """# Gallery

Short programs, most under half a minute of one core (`hyperparameters` takes a minute, `averaging_with_prior` two).
They lie in `experiments/examples/`, run in the slow tests, and make the pictures of this page: `python
experiments/examples/NAME.py PICTURE.png`.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, "gallery.md", content=gallery_page()))
    return files


def gallery_page() -> str:
    """The examples that make a picture, then those that do not."""
    paths = sorted(EXAMPLES.glob("*.py"), key=lambda path: (not _picture(path).exists(), path.stem))
    return "\n".join([_HEAD, *(_entry(path) for path in paths)])


def _entry(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    documented = ast.get_docstring(ast.parse(text))
    if not documented:
        raise PluginError(f"{path}: an example begins with what it shows")
    title, _, rest = documented.partition("\n")
    said = "\n\n".join(part for part in rest.split("\n\n") if not part.strip().startswith(("python ", "cd ")))
    picture = f"![{title}](images/gallery/{path.stem}.png)\n" if _picture(path).exists() else ""
    code = "\n".join(f"    {line}" for line in ["```python", *text.rstrip().splitlines(), "```"])
    heading = path.stem.replace("_", " ").capitalize()
    return f'## {heading}\n\n{title}{said}\n\n{picture}\n??? example "{path.name}"\n{code}\n'


def _picture(path: Path) -> Path:
    return PICTURES / f"{path.stem}.png"
