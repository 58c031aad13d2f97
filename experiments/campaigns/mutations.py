"""Seeded damage to files of every kind that torchsag reads, and what its readers make of it."""

from __future__ import annotations

import random
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchsag.errors import InputError
from torchsag.io import convert_list, read_map, read_particles
from torchsag.io.lists import read_list
from torchsag.runs.record import Unusable, read_record, require_poses, write_record

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "campaigns"))
from small_data import write_set

SECONDS = 20
_TOKENS = [
    b"nan", b"inf", b"-inf", b"1e30", b"-1e400", b"9223372036854775808", b"-1", b"0", b"", b"1e-320", b"0x10", b"1_000",
    "\u0663".encode(), b"\xff\xfe", b"\x00", b"\x1b[2J", b"=1+1", b"a" * 300, b"../../etc/passwd", b"#", b"'", b'"',
    b"<!ENTITY x 'y'>", b"&lol;", b"loop_", b"data_", b"_rlnAngleRot", b"000000@x", b"\r\n", b"5" * 400,
]  # fmt: skip
_NUMBERS = [0, 1, -1, 2**31 - 1, -(2**31), 2**16, 0x7F800000, 0x7FC00000, 0x01010101]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """One to three small or large damages, as disks, transfers, editors and other programs make them."""
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
        data[start:stop] = chance.choice(_TOKENS)


def _line(data: bytearray, chance: random.Random) -> None:
    lines = bytes(data).split(b"\n")
    at = chance.randrange(len(lines))
    lines[at : at + 1] = chance.choice([[], [lines[at]] * 2, [chance.choice(lines)]])
    data[:] = b"\n".join(lines)


def _swap(data: bytearray, chance: random.Random) -> None:
    data[:] = bytes(data[1::2]) + bytes(data[0::2]) if chance.random() < 0.2 else bytes(reversed(data[:64])) + data[64:]


_DAMAGES = [_flip, _flip, _cut, _insert, _number, _number, _token, _token, _token, _line, _swap]


def seeds(folder: Path) -> dict[str, Path]:
    """A whole file of each kind."""
    write_set(folder, 4)
    found = {"csv": folder / "list.csv", "mrc": folder / "p0.mrc"}
    for kind, suffix in (("relion", ".star"), ("dynamo", ".tbl"), ("pytom", ".xml"), ("stopgap", ".star")):
        path = folder / f"{kind}{suffix}"
        convert_list(found["csv"], path, program=kind, voxel_size_angstrom=10.0)
        found[kind] = path
    convert_list(found["csv"], folder / "motl.em", program="av3", voxel_size_angstrom=10.0)
    found["av3"] = folder / "motl.em"
    from torchsag.io import write_map

    for name in ("map.em", "map.mrc.gz"):
        write_map(folder / name, read_map(folder / "reference.mrc"))
        found[name.partition(".")[2]] = folder / name
    turns = torch.linalg.qr(torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(0)))[0].numpy()
    turns *= np.linalg.det(turns)[:, None, None]
    write_record(folder / "chunk.npz", {"rotations": turns, "shifts": np.zeros((5, 3), np.float32)})
    found["checkpoint"] = folder / "chunk.npz"
    return found


def read(kind: str, path: Path) -> Any:
    """By the reader of this kind; everything that is accepted is sane, else it is a defect."""
    if kind == "checkpoint":
        columns = read_record(path)
        require_poses(columns)
        return columns
    if kind in ("mrc", "em", "mrc.gz"):
        density = read_map(path, 10.0).density
        assert bool(torch.isfinite(density).all())
        return density
    listing = read_list(path)
    poses = listing.poses(10.0)
    if poses is not None:
        assert bool(torch.isfinite(poses.shifts).all())
        off = poses.rotations @ poses.rotations.mT - torch.eye(3, dtype=torch.float64)
        assert float(off.abs().max()) < 1e-4
    if kind == "csv":
        read_particles(path)
    return listing


class Hang(BaseException):
    """A reader took too long."""


def _alarm(*_: Any) -> None:
    raise Hang


def outcome(kind: str, path: Path, reader: Callable[[str, Path], Any] = read) -> tuple[str, str]:
    """``accepted``, ``refused``, ``defect`` or ``hang``, and the message."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS)
    try:
        reader(kind, path)
        return "accepted", ""
    except (InputError, Unusable) as error:
        one_line = "\n" not in str(error)
        return ("refused", str(error)) if one_line else ("defect", f"message of several lines: {error}")
    except Hang:
        return "hang", ""
    except BaseException as error:
        return "defect", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def run(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` damaged files in turn over all kinds: how many of each outcome, and the defects."""
    originals = {kind: (path, path.read_bytes()) for kind, path in seeds(folder).items()}
    for kind, (path, _) in originals.items():
        if outcome(kind, path)[0] != "accepted":
            raise RuntimeError(f"the undamaged {kind} is not accepted: {outcome(kind, path)[1]}")
    chance, table, defects = random.Random(seed), {kind: Counter() for kind in originals}, []
    for number in range(count):
        kind = list(originals)[number % len(originals)]
        path, whole = originals[kind]
        path.write_bytes(damaged := mutate(whole, chance))
        found, message = outcome(kind, path)
        table[kind][found] += 1
        if found in ("defect", "hang"):
            defects.append({"kind": kind, "number": number, "message": message[:300], "head": damaged[:80].hex()})
        path.write_bytes(whole)
    return {
        "mutations": count,
        "seed": seed,
        "table": {kind: dict(row) for kind, row in table.items()},
        "defects": defects,
    }
