"""A part of a particle set, for an array of jobs that share one output folder."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torchsag.errors import InputError


@dataclass(frozen=True)
class Part:
    """The `number`-th of `total` parts, counted from 1."""

    number: int
    total: int

    @staticmethod
    def parse(text: str) -> Part:
        """Read ``3/8``.

        Raises
        ------
        InputError
            If it is not of that form, or there is no such part.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        part = Part(int(found[1]), int(found[2])) if found else Part(0, 0)
        if not 1 <= part.number <= part.total:
            raise InputError(f"part: expected a number and a total such as 3/8, counted from 1/8 to 8/8, got {text!r}")
        return part

    def rows(self, count: int) -> range:
        """Which of `count` rows it has; all parts together have each row once."""
        return range(count * (self.number - 1) // self.total, count * self.number // self.total)
