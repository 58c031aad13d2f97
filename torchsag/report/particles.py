"""What pages say of particles one by one and of their orientations together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from torchsag.geometry import Symmetry
from torchsag.report.page import Picture, Section, Table
from torchsag.report.sphere import ViewDensity
from torchsag.report.view_map import view_map

# A page stays a few megabytes.
_MOST_ROWS = 2000
# Fewer particles are read off the table.
_FEWEST_VIEWS = 4
_COLUMNS = {
    "name": "particle",
    "class": "class",
    "true_class": "true class",
    "probability": "probability of its class",
    "half": "half",
    "score": "correlation",
    "shift_angstrom": "shift (Å)",
    "rotation_error_deg": "rotation error (°)",
    "shift_error_angstrom": "shift error (Å)",
    "rotation_sigma_deg": "expected rotation error (°)",
    "shift_sigma_angstrom": "expected shift error (Å)",
    "view_longitude_deg": "view, longitude (°)",
    "view_latitude_deg": "view, latitude (°)",
    "fault": "why set aside",
}
_EXPECTED = ("rotation_sigma_deg", "shift_sigma_angstrom")


def numbers(metrics: Mapping[str, Any], name: str) -> np.ndarray:
    """A column of the table of particles, NaN where it is empty."""
    return np.array([np.nan if v is None else v for v in metrics["particles"][name]], dtype=float)


def believed(metrics: Mapping[str, Any]) -> bool:
    """Whether errors that the model expects can mean anything."""
    return metrics.get("verdict", {}).get("trust") != "no"


def views_section(metrics: Mapping[str, Any], symmetry: str) -> Section | None:
    """Orientations as a density over the sphere, expanded by symmetry; None where a few particles make none."""
    longitude, latitude = (numbers(metrics, f"view_{name}_deg") for name in ("longitude", "latitude"))
    if np.isfinite(longitude).sum() < _FEWEST_VIEWS:
        return None
    views = ViewDensity.of(longitude, latitude, Symmetry(symmetry))
    percent = f"{100 * views.lacking_part:.0f} %"
    text = (
        "How often the beam passed along each direction, in the frame of the map (z is up, x in the middle), expanded "
        f"by {symmetry}; a view from the opposite side is the same. Hatched: {percent} of all directions have less "
        "than a tenth of the mean. Each particle is seen under many tilts: a gap here need not be one in the map, and "
        "the verdict says where it is."
    )
    alt = f"Density of views on an equal-area map of the sphere; {percent} of all directions lack views"
    return Section("Orientations", text, [Picture(view_map(views, alt))])


def particle_section(metrics: Mapping[str, Any]) -> Section:
    """All particles, those that fit worst first."""
    table = metrics["particles"]
    names = [name for name in _COLUMNS if name in table and (believed(metrics) or name not in _EXPECTED)]
    names = [name for name in names if any(value not in (None, "") for value in table[name])]
    score = numbers(metrics, "score")
    order = np.argsort(np.where(np.isfinite(score), score, np.inf), kind="stable")
    rows = [[_plain(table[name][row]) for name in names] for row in order[:_MOST_ROWS].tolist()]
    caption = "Every particle, lowest correlation first"
    if len(order) > _MOST_ROWS:
        caption = f"The {_MOST_ROWS} particles of lowest correlation, of {len(order)}; metrics.json has all"
    return Section("Particles", table=Table(caption, [_COLUMNS[name] for name in names], rows))


def set_aside_section(names: Sequence[str], faults: Sequence[str]) -> Section | None:
    """Which particles were left out and why; None where all were used."""
    rows = [(name, fault) for name, fault in zip(names, faults, strict=True) if fault]
    return Section("Particles set aside", rows=rows[:_MOST_ROWS]) if rows else None


def _plain(value: Any) -> Any:
    return None if value == "" else value
