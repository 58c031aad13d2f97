"""Lists of particles drawn at random, and what every format has to keep of them."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from hypothesis import strategies as st
from torch import Tensor

from torchsag.geometry import rotation_distance, zyz_to_matrix
from torchsag.io import convert_list
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ParticleList

VOXEL = 3.37
FORMATS = {
    "relion": ".star", "stopgap": ".star", "dynamo": ".tbl", "av3": ".em", "pytom": ".xml", "csv": ".csv",
}  # fmt: skip
# What the digits of a format leave of an angle (degrees), a length (voxels, plus a share of it), and a whole number.
# Six decimals nearly everywhere; AV3's numbers are float32.
_ANGLE = dict.fromkeys(FORMATS, 3e-6) | {"av3": 6e-5}
_LENGTH = dict.fromkeys(FORMATS, (1e-6, 1e-15)) | {"av3": (1e-7, 6e-8), "dynamo": (1e-12, 2e-12)}
NUMBERED = ("stopgap", "dynamo", "av3")  # know particles and tomograms by number
LARGEST_FLOAT32 = 2**24

_SIGNS = st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="/@'\"`\\")
_WORDS = st.one_of(
    st.text(_SIGNS, min_size=1, max_size=12),
    st.sampled_from(
        ["data_", "loop_", "save_x", "_rln", "#1", "a b", "Zoë", "$x", "[1]", ";", "-1", "=1+1", "None", "a,b"]
    ),
)


@dataclass(frozen=True)
class RandomList:
    """One row per particle, as numbers and names that every format can say."""

    numbers: list[int]
    words: list[str]
    angles_deg: list[tuple[float, float, float]]
    shifts: list[tuple[float, float, float]]
    positions: list[tuple[float, float, float]]
    classes: list[int]
    halves: list[int]
    tomograms: list[str]
    tilts: tuple[float, float]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def names(self) -> list[str]:
        """Different names that end in the particles' numbers."""
        return [f"p {word}/{word}_{number}.mrc" for word, number in zip(self.words, self.numbers, strict=True)]

    @property
    def rotations(self) -> Tensor:
        """The matrices of the angles."""
        return zyz_to_matrix(torch.deg2rad(torch.tensor(self.angles_deg, dtype=torch.float64)))

    def write(self, path: Path) -> Path:
        """As a csv with all digits."""
        columns = ["volume", "tilt_min_deg", "tilt_max_deg", "tomogram", "half", "class", "x", "y", "z"]
        columns += ["rot_deg", "tilt_deg", "psi_deg", "shift_x", "shift_y", "shift_z"]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for k, name in enumerate(self.names):
                rest = [*self.tilts, self.tomograms[k], self.halves[k], self.classes[k]]
                lengths = [*self.positions[k], *self.angles_deg[k], *self.shifts[k]]
                writer.writerow([name, *rest, *map(repr, lengths)])
        return path


def _triples(limit: float, count: int) -> st.SearchStrategy:
    one = st.floats(-limit, limit, allow_subnormal=False)
    return st.lists(st.tuples(one, one, one), min_size=count, max_size=count)


@st.composite
def _angles(draw: st.DrawFn, count: int) -> list[tuple[float, float, float]]:
    """Any turns, with the poles of Euler angles and their surroundings among them."""
    turn = st.one_of(st.floats(-360, 360, allow_subnormal=False), st.sampled_from([0.0, 90.0, 180.0, -180.0, 359.9999]))
    tilt = st.one_of(turn, st.sampled_from([1e-7, 1e-4, 179.9999999]))
    return [(draw(turn), draw(tilt), draw(turn)) for _ in range(count)]


@st.composite
def random_lists(draw: st.DrawFn) -> RandomList:
    """Lists of one to five particles."""
    count = draw(st.integers(1, 5))

    def each(strategy: st.SearchStrategy, unique: bool = False) -> list:
        return draw(st.lists(strategy, min_size=count, max_size=count, unique=unique))

    low, high = sorted(draw(st.lists(st.integers(-89, 89), min_size=2, max_size=2, unique=True)))
    return RandomList(
        numbers=each(st.integers(0, LARGEST_FLOAT32), unique=True),
        words=each(_WORDS),
        angles_deg=draw(_angles(count)),
        shifts=draw(_triples(1e3, count)),
        positions=draw(_triples(1e5, count)),
        classes=each(st.integers(-5, LARGEST_FLOAT32)),
        halves=each(st.sampled_from([1, 2])),
        tomograms=each(_WORDS),
        tilts=(low, high),
    )


def passed_on(drawn: RandomList, folder: Path, chain: tuple[str, ...]) -> ParticleList:
    """The list written and read in one format after another, all in one folder, where names start."""
    path = drawn.write(folder / "drawn.csv")
    for step, kind in enumerate(chain):
        target = folder / f"step{step}{FORMATS[kind]}"
        assert convert_list(path, target, program=kind, voxel_size_angstrom=VOXEL) == len(drawn)
        path = target
    return read_list(path)


def require_same(found: ParticleList, drawn: RandomList, chain: tuple[str, ...]) -> None:
    """Whatever the formats of the chain can say is what was drawn, within their digits."""
    poses = found.poses(VOXEL)
    assert poses is not None
    off = torch.rad2deg(rotation_distance(poses.rotations, drawn.rotations))
    assert float(off.max()) <= sum(_ANGLE[kind] for kind in chain), off
    floor, share = (sum(parts) for parts in zip(*(_LENGTH[kind] for kind in chain), strict=True))
    _close(poses.shifts, drawn.shifts, floor, share)
    assert found.positions is not None
    _close(found.positions, drawn.positions, floor, share)
    assert found.classes is not None
    assert found.classes.tolist() == drawn.classes
    if not {"dynamo", "av3", "pytom"} & set(chain) and set(drawn.halves) == {1, 2}:
        assert found.halves is not None
        assert found.halves.tolist() == drawn.halves
    if not set(NUMBERED) & set(chain):
        assert list(found.names) == drawn.names
    numbers = [int(name.rpartition(".")[0].rpartition("_")[2]) for name in found.names]
    assert numbers == drawn.numbers
    assert list(found.tomograms or ()) == drawn.tomograms
    if not {"av3", "stopgap"} & set(chain):
        assert [(t.tilt_min_deg, t.tilt_max_deg) for t in found.tilt_ranges or () if t] == [drawn.tilts] * len(drawn)


def _close(found: Tensor, drawn: list[tuple[float, float, float]], floor: float, share: float) -> None:
    wanted = torch.tensor(drawn, dtype=torch.float64)
    off = (found - wanted).abs() - share * wanted.abs()
    assert math.isfinite(float(off.max()))
    assert float(off.max()) <= floor, (found, wanted)
