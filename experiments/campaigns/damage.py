"""Damage as disks, transfers, editors and other programs make it: from one bit to half a file."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

TOKENS = [
    b"nan", b"inf", b"-inf", b"1e30", b"-1e400", b"9223372036854775808", b"-1", b"0", b"", b"1e-320", b"0x10", b"1_000",
    "\u0663".encode(), b"\xff\xfe", b"\x00", b"\x1b[2J", b"=1+1", b"a" * 300, b"../../etc/passwd", b"#", b"'", b'"',
    b"<!ENTITY x 'y'>", b"&lol;", b"loop_", b"data_", b"_rlnAngleRot", b"000000@x", b"\r\n", b"5" * 400, b"[1,2", b"{}",
    b"null", b"true", b"${seed}", b"&a", b"*a", b"!!python/name:os.system", b"2147483649", b"1e13", b"ATOM", b"Zz",
]  # fmt: skip
_NUMBERS = [0, 1, -1, 2**31 - 1, -(2**31), 2**16, 0x7F800000, 0x7FC00000, 0x01010101]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """One to three small or large damages."""
    damaged = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        if not damaged:
            break
        _DAMAGES[chance.randrange(len(_DAMAGES))](damaged, chance)
    return bytes(damaged)


def _flip(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _insert(data: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(data))
    data[place:place] = chance.randbytes(chance.randint(1, 40))


def _number(data: bytearray, chance: random.Random) -> None:
    place = 4 * chance.randrange(max(1, min(len(data), 1024) // 4))
    data[place : place + 4] = int(chance.choice(_NUMBERS)).to_bytes(4, chance.choice(["little", "big"]), signed=True)


def _token(data: bytearray, chance: random.Random) -> None:
    found = [m.span() for m in re.finditer(rb"[^\s,\"<>]+", bytes(data[:20000]))]
    if found:
        start, stop = chance.choice(found)
        data[start:stop] = chance.choice(TOKENS)


def _digit(data: bytearray, chance: random.Random) -> None:
    """Another digit, or another letter, in a text; what no reader can know, but in its own cell."""
    found = [m.start() for m in re.finditer(rb"[0-9A-Za-z_]", bytes(data[:20000]))]
    if found:
        data[chance.choice(found)] = chance.choice(b"0123456789eXYZn.-")


def _line(data: bytearray, chance: random.Random) -> None:
    lines = bytes(data).split(b"\n")
    at = chance.randrange(len(lines))
    lines[at : at + 1] = chance.choice([[], [lines[at]] * 2, [chance.choice(lines)]])
    data[:] = b"\n".join(lines)


def _swap(data: bytearray, chance: random.Random) -> None:
    data[:] = bytes(data[1::2]) + bytes(data[0::2]) if chance.random() < 0.2 else bytes(reversed(data[:64])) + data[64:]


_Damage = Callable[[bytearray, random.Random], None]
_DAMAGES: list[_Damage] = [_flip, _flip, _cut, _insert, _number, _number, _token, _token, _token, _digit, _line, _swap]
