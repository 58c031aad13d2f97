"""STAR files as text: every value stays the string it was, so that what is not understood survives unchanged.

Reading values as numbers would turn a tomogram called ``007`` into 7 and ``9.605161e+05`` into 960516.1; the meaning
of columns is the business of `torchsag.io.relion`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io.atomic import write_text

_TOKEN = re.compile(r"""'[^']*'(?=\s|$)|"[^"]*"(?=\s|$)|\S+""")
_BARE = re.compile(r"[^\s'\"#_]\S*")


@dataclass(frozen=True)
class Loop:
    """A table: column name (without the leading underscore) -> one text per row, columns in the file's order."""

    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def take(self, rows: list[int] | tuple[int, ...]) -> Loop:
        """Some of the rows, in the order given."""
        return Loop({name: [values[r] for r in rows] for name, values in self.columns.items()})


Block = Loop | dict[str, str]
"""A loop, or a list of single values."""


def read_star(path: Path | str) -> dict[str, Block]:
    """Read all blocks; the key of a block is its name after ``data_``.

    Raises
    ------
    InputError
        If the file is missing or is no STAR file.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    blocks: dict[str, Block] = {}
    name: str | None = None
    names: list[str] | None = None  # columns of the loop being read
    rows: list[list[str]] = []
    for number, line in enumerate(lines, start=1):
        tokens = _tokens(line)
        if not tokens:
            continue
        head = tokens[0]
        if head.startswith("data_"):
            _close(blocks, name, names, rows)
            name, names, rows = head[5:], None, []
            blocks[name] = {}
        elif name is None:
            raise InputError(f"{path}: line {number}: expected a STAR file that begins with data_, got {line[:40]!r}")
        elif head == "loop_":
            names, rows = [], []
        elif names is not None and not rows and head.startswith("_"):
            names.append(head[1:])
        elif names is not None:
            if len(tokens) != len(names):
                raise InputError(
                    f"{path}: line {number}: expected {len(names)} values, one for each column, got {len(tokens)}"
                )
            rows.append([_unquote(token) for token in tokens])
        else:
            _add_value(path, number, blocks[name], tokens)
    _close(blocks, name, names, rows)
    if not blocks:
        raise InputError(f"{path}: expected a STAR file with at least one data_ block, got none")
    return blocks


def _tokens(line: str) -> list[str]:
    if "'" not in line and '"' not in line and "#" not in line:
        return line.split()
    tokens: list[str] = _TOKEN.findall(line)
    for position, token in enumerate(tokens):
        if token.startswith("#"):
            return tokens[:position]
    return tokens


def _unquote(token: str) -> str:
    return token[1:-1] if len(token) >= 2 and token[0] in "'\"" and token[-1] == token[0] else token


def _close(blocks: dict[str, Block], name: str | None, names: list[str] | None, rows: list[list[str]]) -> None:
    if name is not None and names is not None:
        values = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
        blocks[name] = Loop(dict(zip(names, values, strict=True)))


def _add_value(path: Path, number: int, block: Block, tokens: list[str]) -> None:
    if not isinstance(block, dict) or not tokens[0].startswith("_") or len(tokens) != 2:
        raise InputError(f"{path}: line {number}: expected a name and one value, got {' '.join(tokens)[:40]!r}")
    block[tokens[0][1:]] = _unquote(tokens[1])


def write_star(path: Path | str, blocks: dict[str, Block], version: int = 30001) -> None:
    """Write blocks in order; the file appears only when complete.

    Parameters
    ----------
    path
        The file.
    blocks
        By name, without ``data_``.
    version
        The RELION file version to put above each block.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    parts: list[str] = []
    for name, block in blocks.items():
        parts.append(f"\n# version {version}\n\ndata_{name}\n\n")
        if isinstance(block, Loop):
            parts.append("loop_\n")
            parts += [f"_{column} #{k}\n" for k, column in enumerate(block.columns, start=1)]
            parts += [" ".join(map(_quote, row)) + "\n" for row in zip(*block.columns.values(), strict=True)]
        else:
            parts += [f"_{key} {_quote(value)}\n" for key, value in block.items()]
        parts.append("\n")
    write_text(path, "".join(parts))


def _quote(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    return f"'{value}'" if '"' in value else f'"{value}"'
