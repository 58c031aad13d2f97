"""Built-in structures, made by code: rods of Gaussian blobs packed into domains of real dimensions.

Rods stand for helices. Random but evenly packed rods give a spectrum that falls like that of a real complex, which
smooth ellipsoids do not: their detail, and with it the accuracy of an alignment, would end at 40 angstrom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from torchsag.geometry import Symmetry
from torchsag.simulation.point_model import PointModel

# Candidates per rod: enough that some lie inside their domain, and that rods end up evenly packed.
_TRIALS = 400


@dataclass(frozen=True)
class _Domain:
    """An ellipsoid to be filled with rods; all lengths in angstrom."""

    centre: tuple[float, float, float]
    semi_axes: tuple[float, float, float]
    rods: int


@dataclass(frozen=True)
class _Rod:
    """What a domain is filled with; all lengths in angstrom."""

    length: float
    spacing: float
    sigma: float
    mass: float
    clearance: float


_ALPHA_HELIX = _Rod(length=22.0, spacing=3.5, sigma=3.5, mass=1.0, clearance=8.5)
_RNA_HELIX = _Rod(length=40.0, spacing=5.0, sigma=5.5, mass=3.5, clearance=15.0)

# One GroEL subunit in its ring, seven-fold axis along z, the two-fold between the rings along x (Braig et al. 1994,
# Nature 371:578): equatorial, intermediate and apical domain. Together 14 nm wide, 15 nm high, a channel of 4.5 nm.
_SUBUNIT = [
    _Domain((46.5, 0.0, 21.0), (24.0, 18.5, 19.5), 16),
    _Domain((53.0, 9.0, 44.0), (13.0, 11.0, 13.0), 6),
    _Domain((45.0, 13.0, 60.0), (22.0, 17.0, 13.5), 11),
]
# One subunit of a dome over the upper ring, as GroES sits on GroEL.
_CAP = [_Domain((30.0, 4.0, 88.0), (15.0, 13.0, 11.0), 6), _Domain((12.0, 0.0, 101.0), (11.0, 6.0, 6.0), 2)]
# Large subunit with central protuberance and two stalks, small subunit with head, body and platform.
_RIBOSOME = [
    _Domain((38.0, 0.0, 0.0), (56.0, 92.0, 84.0), 76),
    _Domain((42.0, 14.0, 92.0), (22.0, 27.0, 20.0), 6),
    _Domain((36.0, 102.0, 36.0), (18.0, 26.0, 15.0), 4),
    _Domain((30.0, -106.0, 26.0), (14.0, 30.0, 13.0), 4),
    _Domain((-52.0, 10.0, -32.0), (32.0, 46.0, 68.0), 20),
    _Domain((-56.0, -16.0, 70.0), (30.0, 40.0, 32.0), 10),
    _Domain((-40.0, 58.0, 18.0), (22.0, 24.0, 28.0), 5),
]


@lru_cache(maxsize=1)
def groel_phantom() -> PointModel:
    """Two stacked seven-fold rings, exactly D7: 14 nm wide, 15 nm high, with a channel of 4.5 nm."""
    return _symmetrised("GroEL-like phantom", _fill(_SUBUNIT, _ALPHA_HELIX, 1), Symmetry("D7"))


@lru_cache(maxsize=1)
def capped_phantom() -> PointModel:
    """The same rings with a dome on one side, exactly C7: 14 nm wide, 18 nm high, centre of mass at the origin."""
    rings = groel_phantom()
    cap = _symmetrised("cap", _fill(_CAP, _ALPHA_HELIX, 2), Symmetry("C7"))
    return _centred(
        PointModel(
            torch.cat([rings.positions, cap.positions]),
            torch.cat([rings.amplitudes, cap.amplitudes]),
            torch.cat([rings.kind, cap.kind]),
            rings.form_factors,
            "capped phantom",
        )
    )


@lru_cache(maxsize=1)
def ribosome_phantom() -> PointModel:
    """An asymmetric particle of the size of a ribosome, 25 nm: two subunits, a protuberance and stalks."""
    return _centred(_model("ribosome-like phantom", _fill(_RIBOSOME, _RNA_HELIX, 3), _RNA_HELIX))


def _symmetrised(name: str, subunit: np.ndarray, symmetry: Symmetry) -> PointModel:
    copies = np.einsum("gij,pj->gpi", symmetry.rotations.numpy(), subunit).reshape(-1, 3)
    return _model(name, copies, _ALPHA_HELIX)


def _model(name: str, points: np.ndarray, rod: _Rod) -> PointModel:
    count = len(points)
    return PointModel(
        positions=torch.from_numpy(points),
        amplitudes=torch.full((count,), rod.mass, dtype=torch.float64),
        kind=torch.zeros(count, dtype=torch.long),
        form_factors=torch.tensor([[[1.0, 2 * math.pi**2 * rod.sigma**2]]], dtype=torch.float64),
        name=name,
    )


def _centred(model: PointModel) -> PointModel:
    centre = (model.positions * model.amplitudes[:, None]).sum(0) / model.amplitudes.sum()
    return PointModel(model.positions - centre, model.amplitudes, model.kind, model.form_factors, model.name)


def _fill(domains: list[_Domain], rod: _Rod, seed: int) -> np.ndarray:
    """Points of rods thrown into the domains, each at least `clearance` from all rods before it."""
    stream = np.random.Generator(np.random.Philox(seed))
    placed = np.empty((0, 3))
    for domain in domains:
        for _ in range(domain.rods):
            placed = np.concatenate([placed, _throw(domain, rod, placed, stream)])
    return placed


def _throw(domain: _Domain, rod: _Rod, placed: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Of some random rods inside the domain, the first that keeps its distance, or else the one that keeps the most."""
    candidates = _random_rods(domain, rod, stream)
    scaled = (candidates - np.asarray(domain.centre)) / np.asarray(domain.semi_axes)
    candidates = candidates[(np.square(scaled).sum(-1) <= 1).all(-1)]
    if len(placed) == 0:
        return candidates[0]
    squares = np.square(candidates[:, :, None] - placed).sum(-1)
    gaps = np.sqrt(squares.min((1, 2)))
    free = np.flatnonzero(gaps >= rod.clearance)
    return candidates[free[0] if len(free) else gaps.argmax()]


def _random_rods(domain: _Domain, rod: _Rod, stream: np.random.Generator) -> np.ndarray:
    direction = stream.standard_normal((_TRIALS, 1, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    middle = np.asarray(domain.centre) + np.asarray(domain.semi_axes) * stream.uniform(-1, 1, (_TRIALS, 1, 3))
    # No longer than two thirds of the smallest extent: a small domain holds shorter rods.
    length = min(rod.length, 4 / 3 * min(domain.semi_axes))
    along = np.linspace(-length / 2, length / 2, max(2, round(length / rod.spacing) + 1))
    return middle + along[:, None] * direction
