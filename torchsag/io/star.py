"""STAR files as text: every value stays the string it was, so that what is not understood survives unchanged.

Reading values as numbers would turn a tomogram called ``007`` into 7 and ``9.605161e+05`` into 960516.1; the meaning
of columns is the business of `torchsag.io.relion`.

Why not a parser from outside: of gemmi, starfile and starfile-rs none reads every list that RELION reads. gemmi 0.7.5
takes no byte beyond ASCII and ends a loop at a value such as ``data_bin4/p.mrc``, starfile 0.5.13 turns a tomogram 007
into 7 and reads a file that is not UTF-8 as empty, starfile-rs 0.1.12 drops the rows below an empty line
(``experiments/benchmarks/star_reading.py``). Files that are STAR by the letter are read as gemmi reads them, which the
tests hold this module to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io.atomic import write_text

_QUOTED = re.compile(r"""'.*?'(?=[ \t]|$)|".*?"(?=[ \t]|$)|[^ \t]+""")
_WORD = re.compile(r"[^ \t]+")
_KEYWORDS = ("data_", "loop_", "save_", "stop_", "global_")
# As programs write them; read word by word where a line begins with one of these.
_HEADS = ("_", *(form for word in _KEYWORDS for form in (word, word.upper(), word.capitalize())))
_BARE = re.compile(r"[^\s'\"#_$;\[\]]\S*")
_BATCH = 2**20  # characters read at once: a list of 10^6 particles never stands in memory as one text
_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])


@dataclass(frozen=True)
class Loop:
    """A table: column name (without the leading underscore) -> one text per row, columns in the file's order.

    Attributes
    ----------
    columns
        The table.
    pairs
        Single values that stand in the same block.
    """

    columns: dict[str, list[str]]
    pairs: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def take(self, rows: list[int] | tuple[int, ...]) -> Loop:
        """Some of the rows, in the order given."""
        return Loop({name: [values[r] for r in rows] for name, values in self.columns.items()}, self.pairs)


Block = Loop | dict[str, str]
"""A loop, or a list of single values."""


def read_star(path: Path | str) -> dict[str, Block]:
    """Read all blocks; the key of a block is its name after ``data_``.

    A line that begins with ``data_`` and has as many values as the table has columns is a row, as RELION reads it,
    whether it is quoted or not. Bytes that are not UTF-8 come back when the values are written.

    Raises
    ------
    InputError
        If the file is missing or is no STAR file, or if a line can be read in two ways.
    """
    path = Path(path)
    reader = _Reader(path)
    try:
        # Lines end at CR, LF or both, and nowhere else: str.splitlines would also part names at U+2028.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=None) as file:
            while batch := file.readlines(_BATCH):
                reader.read(batch)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return reader.finish()


class _Reader:
    """One line after another; knows whether it stands in front of a block, in a loop's head or among its rows."""

    def __init__(self, path: Path):
        self._path = path
        self._line = 0
        self._blocks: dict[str, Block] = {}
        self._name: str | None = None
        self._pairs: dict[str, str] = {}
        self._names: list[str] | None = None  # columns of the loop being read
        self._columns: list[list[str]] = []
        self._memories: list[dict[str, str] | None] | None = None  # of columns with few different values
        self._gap = True  # an empty line stands above
        self._undecided: tuple[str, bool] | None = None  # data_x in a table of one column: a row or a block

    def read(self, lines: list[str]) -> None:
        """Read the next lines."""
        text = "".join(lines)
        encoded = text.encode("utf-8", "surrogateescape")
        if len(encoded.translate(None, _CONTROLS)) != len(encoded):
            self._refuse_control(lines)
        if text.isascii() and not any(sign in text for sign in "'\"#") and self._plain_rows(lines, text):
            return
        for line in lines:
            self._line += 1
            tokens = _tokens(line.rstrip("\n"))
            if tokens:
                self._tokens(tokens)
            if tokens or not line.strip():  # a remark is no gap
                self._gap = not tokens

    def finish(self) -> dict[str, Block]:
        """All blocks."""
        if self._undecided is not None:
            self._decide(block=self._undecided[1])
        self._close()
        if not self._blocks:
            raise InputError(f"{self._path}: expected a STAR file with at least one data_ block, got none")
        return self._blocks

    def _plain_rows(self, lines: list[str], text: str) -> bool:
        """Read lines that are rows and nothing else at once; False where they are not, and nothing is read."""
        if not self._names or not self._columns[0] or len(self._names) < 2:
            return False
        width = len(self._names)
        tokens = text.split()
        heads = [line.split(None, 1)[0] for line in lines if not line.isspace()]
        # One split for all lines; that every line begins where a row does shows that each holds one row.
        if len(tokens) != width * len(heads) or tokens[::width] != heads or any(h.startswith(_HEADS) for h in heads):
            return False
        self._add([tokens[k::width] for k in range(width)])
        self._line += len(lines)
        self._gap = lines[-1].isspace()
        return True

    def _tokens(self, tokens: list[str]) -> None:
        head, count = tokens[0].lower(), len(tokens)
        if self._undecided is not None:
            self._decide(block=head.startswith(("loop_", "_")) or (head.startswith("data_") and self._gap))
        width = len(self._names) if self._names else 0
        row_like = width > 1 and count == width
        if head.startswith("data_") and not row_like:
            if count > 1:
                self._fail(f"expected the name of a block alone on its line, got {' '.join(tokens)[:40]!r}")
            if width == 1:
                self._undecided = (tokens[0], self._gap)
            else:
                self._open(tokens[0])
        elif self._name is None:
            self._fail(f"expected a STAR file that begins with data_, got {' '.join(tokens)[:40]!r}")
        elif head == "loop_" and count == 1:
            if self._names is not None:
                self._fail(f"expected one table in a block, got a second one in data_{self._name}")
            self._names, self._columns, self._memories = [], [], None
        elif self._names is None:
            self._pair(tokens)
        elif head.startswith("_"):
            self._tag_pair_or_row(tokens, row_like)
        else:
            self._row(tokens)

    def _decide(self, block: bool) -> None:
        """Whether ``data_x`` alone on a line below a table of one column was a block or a row."""
        assert self._undecided is not None
        token, self._undecided = self._undecided[0], None
        if block:
            self._open(token)
        else:
            self._row([token])

    def _tag_pair_or_row(self, tokens: list[str], row_like: bool) -> None:
        """A line of a loop that begins with an underscore."""
        if self._columns and self._columns[0]:
            if len(tokens) == 2 and not (row_like and not self._gap):
                self._pair(tokens)
            elif row_like and len(tokens) == 2:
                self._fail(f"{' '.join(tokens)!r} may be a row or a name and its value; quote it if it is a row")
            else:
                self._row(tokens)
        elif len(tokens) > 1:
            self._row(tokens)
        else:
            assert self._names is not None
            if tokens[0][1:] in self._names:
                self._fail(f"expected each column once, got {tokens[0]} twice")
            self._names.append(tokens[0][1:])
            self._columns.append([])

    def _row(self, tokens: list[str]) -> None:
        width = len(self._names or ())
        if len(tokens) != width:
            self._fail(f"expected {width} values, one for each column, got {len(tokens)}")
        for column, token in zip(self._columns, tokens, strict=True):
            column.append(_unquote(token))

    def _add(self, columns: list[list[str]]) -> None:
        """Rows column by column; where a column has few different values, each is kept once."""
        if self._memories is None:
            self._memories = [{} if len(set(values)) < len(values) / 4 else None for values in columns]
        for column, values, memory in zip(self._columns, columns, self._memories, strict=True):
            column.extend(values if memory is None else [memory.setdefault(value, value) for value in values])

    def _pair(self, tokens: list[str]) -> None:
        if len(tokens) != 2 or not tokens[0].startswith("_"):
            self._fail(f"expected a name and one value, got {' '.join(tokens)[:40]!r}")
        name = tokens[0][1:]
        if name in self._pairs:
            self._fail(f"expected each name once in a block, got {tokens[0]} twice")
        self._pairs[name] = _unquote(tokens[1])

    def _open(self, token: str) -> None:
        self._close()
        self._name = token[5:]
        if self._name in self._blocks:
            self._fail(f"expected each block once, got data_{self._name} twice")

    def _close(self) -> None:
        if self._name is not None:
            if self._names is None:
                self._blocks[self._name] = self._pairs
            else:
                self._blocks[self._name] = Loop(dict(zip(self._names, self._columns, strict=True)), self._pairs)
        self._pairs, self._names, self._columns, self._memories = {}, None, [], None

    def _refuse_control(self, lines: list[str]) -> None:
        controls = set(_CONTROLS.decode("ascii"))
        for line in lines:
            self._line += 1
            sign = next((sign for sign in line if sign in controls), None)
            if sign is not None:
                self._fail(f"expected text without control characters, got {sign!r}")

    def _fail(self, sentence: str) -> None:
        raise InputError(f"{self._path}: line {self._line}: {sentence}")


def _tokens(line: str) -> list[str]:
    if "'" not in line and '"' not in line and "#" not in line:
        return _WORD.findall(line)
    tokens: list[str] = _QUOTED.findall(line)
    for position, token in enumerate(tokens):
        if token.startswith("#"):
            return tokens[:position]
    return tokens


def _unquote(token: str) -> str:
    return token[1:-1] if len(token) >= 2 and token[0] in "'\"" and token[-1] == token[0] else token


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
        If a value cannot stand in a STAR file, or the file cannot be written.
    """
    try:
        write_text(path, "".join(_lines(blocks, version)))
    except _UnwritableError as error:
        raise InputError(f"{path}: {error}") from None


class _UnwritableError(ValueError):
    """A value for which STAR has no form on one line."""


def _lines(blocks: dict[str, Block], version: int) -> Iterator[str]:
    for name, block in blocks.items():
        yield f"\n# version {version}\n\ndata_{name}\n\n"
        for key, value in (block.pairs if isinstance(block, Loop) else block).items():
            yield f"_{key} {_quote(key, value)}\n"
        if isinstance(block, Loop):
            yield "\nloop_\n" if block.pairs else "loop_\n"
            yield from (f"_{column} #{k}\n" for k, column in enumerate(block.columns, start=1))
            names = tuple(block.columns)
            for row in zip(*block.columns.values(), strict=True):
                yield " ".join(map(_quote, names, row)) + "\n"
        yield "\n"


def _quote(name: str, value: str) -> str:
    if _BARE.fullmatch(value) and not value.lower().startswith(_KEYWORDS):
        return value
    if not any(sign in value for sign in "\n\r"):
        for quote in "\"'":
            # A quote inside is one only where white space follows.
            if not re.search(rf"{quote}(?=[ \t])", value):
                return f"{quote}{value}{quote}"
    raise _UnwritableError(f"{name}: {value[:40]!r} cannot stand in a STAR file; rename it")
