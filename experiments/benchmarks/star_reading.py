"""Reading STAR files: time, memory, and what comes back, by the parsers there are.

    python experiments/benchmarks/star_reading.py [--rows 1000000] [--columns 30]

A list of particles with three columns of names and the rest of numbers is read by torchsag, gemmi and starfile, each in
a process of its own; CPU seconds and peak memory are those of the process, imports included. Then small files of kinds
that RELION reads go through the same parsers; written down is every value that does not come back as it was.
starfile-rs takes part where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Tables = dict[str, dict[str, list[str]]]

HEAD = "data_p\n\nloop_\n_a\n_b\n"
CASES: dict[str, tuple[bytes, Tables]] = {
    "a value begins with data_": (
        f"{HEAD}p1.mrc 1\ndata_bin4/p2.mrc 2\n".encode(),
        {"p": {"a": ["p1.mrc", "data_bin4/p2.mrc"], "b": ["1", "2"]}},
    ),
    "a quoted value begins with data_": (
        f"{HEAD}p1.mrc 1\n'data_bin4/p2.mrc' 2\n".encode(),
        {"p": {"a": ["p1.mrc", "data_bin4/p2.mrc"], "b": ["1", "2"]}},
    ),
    "a UTF-8 name": (f"{HEAD}zéro 1\n".encode(), {"p": {"a": ["zéro"], "b": ["1"]}}),
    "a Latin-1 name": (
        f"{HEAD}zéro 1\n".encode("latin-1"),
        {"p": {"a": ["z\udce9ro"], "b": ["1"]}},
    ),
    "a tomogram called 007": (f"{HEAD}007 1\n".encode(), {"p": {"a": ["007"], "b": ["1"]}}),
    "a name that ends in a prime": (f"{HEAD}5' 1\n".encode(), {"p": {"a": ["5'"], "b": ["1"]}}),
    "a single value above the table": (
        b"data_p\n_c 3\n\nloop_\n_a\n_b\n1.5 2\n4.5 5\n",
        {"p": {"a": ["1.5", "4.5"], "b": ["2", "5"], "c": ["3"]}},
    ),
    "an empty line between rows": (f"{HEAD}p1 1\n\np2 2\n".encode(), {"p": {"a": ["p1", "p2"], "b": ["1", "2"]}}),
}


def read_torchsag(path: Path) -> Tables:
    """Blocks, columns, values."""
    from torchsag.io.star import Loop, read_star

    return {
        name: {**block.columns, **{k: [v] for k, v in block.pairs.items()}}
        if isinstance(block, Loop)
        else {k: [v] for k, v in block.items()}
        for name, block in read_star(path).items()
    }


def read_gemmi(path: Path) -> Tables:
    """Blocks, columns, values."""
    from gemmi import cif

    tables: Tables = {}
    for block in cif.read(str(path)):
        columns = tables[block.name] = {}
        for item in block:
            if item.pair is not None:
                columns[item.pair[0][1:]] = [cif.as_string(item.pair[1])]
            elif item.loop is not None:
                for tag in item.loop.tags:
                    columns[tag[1:]] = [
                        value if value[0] not in "'\";" else cif.as_string(value) for value in block.find_loop(tag)
                    ]
    return tables


def read_starfile(path: Path) -> Tables:
    """Blocks, columns, values."""
    import starfile

    return {
        name: {k: [str(v) for v in block[k]] for k in block.columns}
        if hasattr(block, "columns")
        else {k: [str(v)] for k, v in block.items()}
        for name, block in starfile.read(path, always_dict=True).items()
    }


def read_starfile_rs(path: Path) -> Tables:
    """Blocks, columns, values."""
    import starfile_rs

    tables: Tables = {}
    for name, block in starfile_rs.read_star(path).items():
        if (single := block.try_single()) is not None:
            tables[name] = {k: [str(v)] for k, v in single.to_dict().items()}
        else:
            frame = block.trust_loop().to_pandas()
            tables[name] = {k: [str(v) for v in frame[k]] for k in frame.columns}
    return tables


READERS = {
    "torchsag": read_torchsag,
    "gemmi": read_gemmi,
    "starfile": read_starfile,
    "starfile-rs": read_starfile_rs,
}


def write_list(path: Path, rows: int, columns: int) -> None:
    """A particle list as RELION writes them."""
    generator = random.Random(1)
    names = ["rlnImageName", "rlnCtfImage", "rlnMicrographName", *(f"rlnNumber{k}" for k in range(columns - 3))]
    with path.open("w") as file:
        file.write("\n# version 30001\n\ndata_particles\n\nloop_\n")
        file.writelines(f"_{name} #{k}\n" for k, name in enumerate(names, start=1))
        for row in range(rows):
            folder = f"Extract/job010/TS_{row % 100:03d}"
            numbers = " ".join(f"{generator.uniform(-180, 180):12.6f}" for _ in range(columns - 3))
            file.write(f"{folder}/{row:07d}_bin4.mrc {folder}/{row:07d}_ctf.mrc TS_{row % 100:03d} {numbers}\n")


def what_is_lost(reader: str, folder: Path) -> dict[str, str]:
    """For each small file: "as it was", or what came back."""
    found: dict[str, str] = {}
    for number, (name, (content, expected)) in enumerate(CASES.items()):
        path = folder / f"case{number}.star"  # one name a case: a reader may keep what it has read
        path.write_bytes(content)
        try:
            tables = READERS[reader](path)
            found[name] = "as it was" if tables == expected else f"read as {tables}"
        except Exception as error:  # whatever it raises is the finding
            found[name] = f"{type(error).__name__}: {error}".replace(str(path), path.name)[:120]
    return found


def measure(reader: str, path: Path) -> dict[str, object]:
    """Read once in this process."""
    tables = READERS[reader](path)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rows": len(next(iter(tables["particles"].values()))),
        "columns": len(tables["particles"]),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_gigabytes": round(used.ru_maxrss / 2**20, 2),
    }


def main() -> None:
    """Write the list, read it by every parser, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # reader and list, for the process of its own
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], Path(options.one[1]))))
        return
    record: dict[str, object] = {"python": sys.version.split()[0], "load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_list(folder / "list.star", options.rows, options.columns)
        for reader in READERS:
            try:
                number = version(reader)
            except PackageNotFoundError:
                record[reader] = "not installed"
                continue
            words = [sys.executable, __file__, "--one", reader, str(folder / "list.star")]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            speed = json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip().splitlines()[-1:]
            record[reader] = {"version": number, "speed": speed, "cases": what_is_lost(reader, folder)}
    text = json.dumps(record, indent=1, ensure_ascii=True)
    options.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
