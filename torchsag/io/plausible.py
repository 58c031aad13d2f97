"""What the values of any list must be before they become poses: one check for all formats.

Readers turn text into numbers here, so that a message can name the entry and its column; `check_list` looks at what
every reader returns, whatever it came from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.particle_list import ParticleList

LARGEST_ANGLE = 1e6  # degrees; a float64 beyond it has lost its turn to rounding long since
LARGEST_LENGTH = 1e7  # voxels or angstrom: a thousand times the longest tomogram
LARGEST_NUMBER = 2**31 - 1  # of classes, tomograms and particles
_LONGEST_NAME, _LONGEST_PATH = 255, 4096  # bytes, as Linux file systems have them
_CONTROLS = dict.fromkeys((*range(32), 127))


def numbers(
    path: Path, texts: Sequence[str], column: str, largest: float = math.inf, names: Sequence[str] | None = None
) -> Float[Tensor, " rows"]:
    """The numbers of a column.

    Parameters
    ----------
    path
        The list, for messages.
    texts
        One for each entry: decimal numbers in ASCII, as every program writes them.
    column
        What the list calls the column.
    largest
        The largest size that means anything.
    names
        What to call the entries; by default "entry 1" and so on.

    Raises
    ------
    InputError
        For the first entry that is no finite number, or too large.
    """
    values: list[float] = []
    for row, text in enumerate(texts):
        try:
            # float() also takes 1_000 and the digits of other scripts.
            if not text.isascii() or "_" in text:
                raise ValueError
            values.append(float(text))
        except ValueError:
            raise InputError(
                f"{path}: {_entry(row, names)}: expected a number as {column}, got {text[:40]!r}"
            ) from None
    return finite(path, torch.tensor(values, dtype=torch.float64), column, largest, names)


def finite(
    path: Path,
    values: Float[Tensor, " rows"],
    column: str,
    largest: float = math.inf,
    names: Sequence[str] | None = None,
) -> Float[Tensor, " rows"]:
    """The same numbers, if all of them mean something; see `numbers`.

    Raises
    ------
    InputError
        For the first entry that is NaN, infinite or too large.
    """
    bad = ~(values.abs() <= min(largest, 1e300))  # NaN compares false
    if bad.any():
        row = int(bad.nonzero()[0])
        value = float(values[row])
        wanted = f"a value up to {largest:g}" if math.isfinite(value) else "a finite number"
        raise InputError(f"{path}: {_entry(row, names)}: expected {wanted} as {column}, got {value:g}")
    return values


def whole(
    path: Path,
    values: Float[Tensor, " rows"],
    column: str,
    least: int = 0,
    largest: int = LARGEST_NUMBER,
    names: Sequence[str] | None = None,
) -> Integer[Tensor, " rows"]:
    """Whole numbers of a column.

    Raises
    ------
    InputError
        For the first entry that is none, or lies outside the limits.
    """
    bad = ~((values >= least) & (values <= largest) & (values == values.round()))
    if bad.any():
        row = int(bad.nonzero()[0])
        raise InputError(
            f"{path}: {_entry(row, names)}: expected a whole number from {least} to {largest} as {column}, "
            f"got {float(values[row]):.17g}"
        )
    return values.long()


def check_list(listing: ParticleList) -> ParticleList:
    """The same list, if its names can be names and its values poses.

    Raises
    ------
    InputError
        For the first name with control characters or too long for a file, and the first value that is not finite or
        too large.
    """
    path = listing.path
    _check_names(path, listing.names, "the volume's name")
    _check_names(path, [name for name in listing.weight_names or () if name is not None], "the weight's name")
    _check_names(path, listing.tomograms or (), "the tomogram's name", empty=True)
    for values, what, largest in (
        (listing.rotations, "rotation", 2.0),
        (listing.box_frames, "rotation of the box", 2.0),
        (listing.shifts, "shift", LARGEST_LENGTH),
        (listing.positions, "position", LARGEST_LENGTH),
        (listing.scores, "score", math.inf),
    ):
        if values is not None:
            finite(path, values.double().flatten(1).abs().amax(1) if values.ndim > 1 else values, what, largest)
    if listing.voxel_sizes is not None:
        sizes = torch.tensor([math.nan if s is None else s for s in listing.voxel_sizes], dtype=torch.float64)
        bad = ~((sizes > 1e-3) & (sizes < 1e5))
        if bad.any():
            row = int(bad.nonzero()[0])
            raise InputError(
                f"{path}: {_entry(row, None)}: expected a voxel size between 0.001 and 100000 angstrom, "
                f"got {float(sizes[row]):g}"
            )
    return listing


def _check_names(path: Path, names: Sequence[str], what: str, empty: bool = False) -> None:
    # One look at all of them; only where something is wrong are they taken one by one.
    if "".join(names).translate(_CONTROLS) == "".join(names):
        longest = max(map(len, names), default=0)
        if longest * 4 <= _LONGEST_NAME and (empty or all(names)):
            return
    for row, name in enumerate(names):
        sizes = [len(part.encode("utf-8", "surrogateescape")) for part in name.split("/")]
        if name.translate(_CONTROLS) != name:
            wrong = f"expected no control characters or line breaks in {what}, got {name[:40]!r}"
        elif not name and not empty:
            wrong = f"expected {what}, got an empty one"
        elif max(sizes) > _LONGEST_NAME or sum(sizes) + len(sizes) > _LONGEST_PATH:
            wrong = (
                f"expected at most {_LONGEST_NAME} bytes for a file and {_LONGEST_PATH} for a path as {what}, "
                f"got {max(sizes)} and {sum(sizes) + len(sizes)}"
            )
        else:
            continue
        raise InputError(f"{path}: {_entry(row, None)}: {wrong}")


def _entry(row: int, names: Sequence[str] | None) -> str:
    return f"entry {row + 1}" if names is None else f"particle {names[row]}"
