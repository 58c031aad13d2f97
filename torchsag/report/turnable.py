"""A surface that the reader of a page can turn: three.js, from the viewer that trimesh brings, and the map's triangles.

Where the browser has no scripts or no WebGL nothing is shown, and the still pictures beside it stand alone.
"""

from __future__ import annotations

import html
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from torchsag.report.colours import viridis
from torchsag.report.mesh import Mesh
from torchsag.report.pictures import colour_scale

_MOST_VERTICES = 90_000
# Where trimesh's page ends its libraries and begins to show something.
_LIBRARIES = ("<script>", "var camera,controls,scene,renderer,tracklight;")


@dataclass(frozen=True)
class Coloured:
    """A map with a colour at every place of its surface.

    Attributes
    ----------
    name
        What is shown.
    density, values
        ``[z, y, x]``: the map, and what its colours say.
    low, high
        Values at the ends of the scale; low ones are bright.
    unit
        Of the values.
    """

    name: str
    density: np.ndarray
    values: np.ndarray
    low: float
    high: float
    unit: str


def turnable(densities: Mapping[str, np.ndarray], voxel_size: float, coloured: Coloured | None = None) -> str:
    """A place for surfaces to turn, one at a time, hidden until scripts fill it; empty where nothing stands out.

    Parameters
    ----------
    densities
        Maps ``[z, y, x]`` by name.
    voxel_size
        Angstrom.
    coloured
        One more.
    """
    most = min(40_000, _MOST_VERTICES // (len(densities) + (coloured is not None)))
    found = {name: Mesh.of(density, most) for name, density in densities.items()}
    if coloured is not None:
        mesh = Mesh.of(coloured.density, most)
        found[coloured.name] = None if mesh is None else mesh.coloured(coloured.values, coloured.high, coloured.low)
    parts = [_data(name, mesh) for name, mesh in found.items() if mesh is not None]
    if not parts:
        return ""
    if coloured is not None:
        scale = colour_scale(coloured.low, coloured.high, coloured.unit, turned=True)
        parts.append(f"<div class='legend' hidden>{scale}</div>")
    palette = " ".join("".join(f"{channel:02x}" for channel in colour[:3]) for colour in viridis(np.linspace(0, 1, 32)))
    return f"<div class='turn' data-angstrom='{voxel_size:.6g}' data-palette='{palette}' hidden>{''.join(parts)}</div>"


def _data(name: str, mesh: Mesh) -> str:
    coloured = " data-coloured='yes'" if mesh.levels is not None else ""
    return (
        f"<script type='text/x-mesh' data-name='{html.escape(name)}' data-vertices='{len(mesh.vertices)}' "
        f"data-faces='{len(mesh.faces)}' data-radius='{mesh.radius:.4f}'{coloured}>{mesh.encoded()}</script>"
    )


@lru_cache(maxsize=1)
def viewer_scripts() -> tuple[str, ...]:
    """What a page needs to turn surfaces; nothing if the trimesh that is installed has another kind of viewer."""
    found = find_spec("trimesh")  # its data alone: the package takes half a second to import
    if found is None or not found.submodule_search_locations:
        return ()
    archive = Path(found.submodule_search_locations[0]) / "resources" / "templates" / "viewer.zip"
    try:
        with zipfile.ZipFile(archive) as packed:
            page = packed.read("viewer.html.template").decode("utf-8")
    except (OSError, KeyError, zipfile.BadZipFile):
        return ()
    _, opened, rest = page.partition(_LIBRARIES[0])
    libraries, ended, _ = rest.partition(_LIBRARIES[1])
    if not (opened and ended) or "TrackballControls" not in libraries or "</script" in libraries.lower():
        return ()
    return libraries, files("torchsag.report").joinpath("turn.js").read_text("utf-8")
