"""A surface that the reader of a page can turn: three.js, from the viewer that trimesh brings, and the map's triangles.

Where the browser has no scripts or no WebGL nothing is shown, and the still pictures beside it stand alone.
"""

from __future__ import annotations

import html
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from torchsag.report.mesh import Mesh

_MOST_VERTICES = 90_000
# Where trimesh's page ends its libraries and begins to show something.
_LIBRARIES = ("<script>", "var camera,controls,scene,renderer,tracklight;")


def turnable(meshes: Mapping[str, Mesh], voxel_size: float) -> str:
    """A place for surfaces to turn, one at a time, hidden until scripts fill it; each by its name."""
    parts = [
        f"<script type='text/x-mesh' data-name='{html.escape(name)}' data-vertices='{len(mesh.vertices)}' "
        f"data-radius='{mesh.radius:.4f}'>{mesh.encoded()}</script>"
        for name, mesh in meshes.items()
    ]
    return f"<div class='turn' data-angstrom='{voxel_size:.6g}' hidden>{''.join(parts)}</div>"


def meshes_of(densities: Mapping[str, object]) -> dict[str, Mesh]:
    """Of maps ``[z, y, x]``, those that show anything; together they stay a megabyte or two."""
    most = min(40_000, _MOST_VERTICES // max(1, len(densities)))
    found = {name: Mesh.of(density, most) for name, density in densities.items()}  # type: ignore[arg-type]
    return {name: mesh for name, mesh in found.items() if mesh is not None}


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
