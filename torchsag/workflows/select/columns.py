"""What a list says of its particles, as columns of numbers and texts under plain names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from torchsag.errors import InputError
from torchsag.io.list_selection import table_of
from torchsag.io.particle_list import ParticleList

# Plain words for columns of the table.
_WORDS = {
    "score": "torchsagScore",
    "ambiguity": "torchsagAmbiguity",
    "rotation_error_deg": "torchsagSigmaRotationDeg",
    "shift_error_angstrom": "torchsagSigmaShiftAngst",
    "rot_deg": "rlnAngleRot",
    "tilt_deg": "rlnAngleTilt",
    "psi_deg": "rlnAnglePsi",
}
_UNSET = ("", "None", "none", "<NA>", "nan", "NaN")


def columns_of(listing: ParticleList) -> dict[str, np.ndarray]:
    """Every column of a list by its name in RELION's form, and under plain words what torchsag knows of it.

    A column is of numbers where every entry is one or is not set; texts otherwise. What is not set is NaN.
    """
    table = table_of(listing).columns
    found = {name: _numbers_or_texts(values) for name, values in table.items()}
    found |= {word: found[name] for word, name in _WORDS.items() if name in found}
    for word, values in (("score", listing.scores), ("class", listing.classes), ("half", listing.halves)):
        if values is not None:
            found[word] = values.double().numpy()
    if listing.tomograms is not None:
        found["tomogram"] = np.array(list(listing.tomograms), dtype=str)
    if listing.positions is not None:
        found |= dict(zip("xyz", listing.positions.double().numpy().T, strict=True))
    found["name"] = np.array(list(listing.names), dtype=str)
    found["row"] = np.arange(1, len(listing.names) + 1, dtype=np.float64)
    # `class` is a word of Python's grammar, in which conditions are written.
    return {("class_" if name == "class" else name): values for name, values in found.items()}


def needed(columns: dict[str, np.ndarray], listing: ParticleList, word: str, key: str) -> np.ndarray:
    """A column that a key cannot do without.

    Raises
    ------
    InputError
        If the list has none.
    """
    if word not in columns:
        named = f" ({_WORDS[word]})" if word in _WORDS else ""
        raise InputError(f"{key}: expected a list with {word.rstrip('_')}{named}, {listing.path} has none")
    return columns[word]


def _numbers_or_texts(values: Sequence[str]) -> np.ndarray:
    try:
        return np.array([np.nan if value in _UNSET else float(value) for value in values], dtype=np.float64)
    except ValueError:
        return np.array(list(values), dtype=str)


def best_first(listing: ParticleList, columns: dict[str, np.ndarray]) -> torch.Tensor:
    """Rows from the best score to the worst; in the list's order where it has none."""
    if "score" not in columns:
        return torch.arange(len(listing.names))
    score = torch.from_numpy(np.nan_to_num(columns["score"], nan=-np.inf))
    return score.argsort(descending=True, stable=True)
