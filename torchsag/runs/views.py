"""Scripts that open a run's results in ChimeraX and in napari: the map, and the particles back in their tomograms.

They stand in ``views/`` beside the results and name everything relative to themselves. Where the list gives positions,
each tomogram has a file of markers, coloured by score, which ChimeraX opens without any plugin, and ``particles.csv``
has all of them in angstrom from the tomogram's corner, with the direction of each particle's z axis.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.csv_cells import cell
from torchsag.errors import InputError
from torchsag.io.atomic import write_text
from torchsag.io.list_selection import places
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ParticleList

FOLDER = "views"
COLUMNS = ("tomogram", "x_angstrom", "y_angstrom", "z_angstrom", "score", "z_axis_x", "z_axis_y", "z_axis_z")
# Scores beyond these quantiles have the colours of the ends.
_SPREAD = (0.05, 0.95)
_NAPARI = '''\
"""Look at {named} in napari, or at a tomogram with its particles, coloured by score.

    python {name}                          the map, or all maps side by side
    python {name} TOMOGRAM.mrc [NAME]      a tomogram, and its particles; NAME is what the list calls it

Needs napari and mrcfile. Lengths are angstrom; arrows show each particle's z axis.
"""

import csv
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAPS = [HERE / ".." / name for name in {maps}]
PARTICLES = HERE / "particles.csv"
ARROW = {arrow:g}  # angstrom


def particles_of(tomogram):
    """Places (z, y, x), scores and z axes (z, y, x) of the particles of a tomogram; of all if it is the only one."""
    with PARTICLES.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {{row["tomogram"] for row in rows}}
    if len(names) > 1:
        rows = [row for row in rows if Path(row["tomogram"]).stem == Path(tomogram).stem]
    if not rows:
        sys.exit(f"no particles of {{tomogram}}; give its name as one of {{', '.join(sorted(names))}}")
    places = [[float(row[f"{{axis}}_angstrom"]) for axis in "zyx"] for row in rows]
    axes = [[float(row[f"z_axis_{{axis}}"]) for axis in "zyx"] for row in rows]
    return places, [float(row["score"]) for row in rows], axes


def main():
    """Open the viewer."""
    import mrcfile
    import napari
    import numpy as np

    several = [Path(sys.argv[1])] if len(sys.argv) > 1 else MAPS
    viewer = napari.Viewer(title=several[0].name, ndisplay=3 if several == MAPS else 2)
    for shown in several:
        with mrcfile.open(shown, permissive=True) as file:
            data, voxel = np.array(file.data, dtype=np.float32), float(file.voxel_size.x) or 1.0
        viewer.add_image(data, name=shown.name, scale=[voxel] * 3)
    if len(several) > 1:
        viewer.grid.enabled = True
    if several != MAPS and PARTICLES.exists():
        places, scores, axes = particles_of(sys.argv[2] if len(sys.argv) > 2 else shown.name)
        size = ARROW / 2
        colours = {{"properties": {{"score": scores}}, "face_color": "score", "face_colormap": "viridis"}}
        viewer.add_points(places, size=size, name="particles", **colours)
        vectors = np.stack([np.array(places), ARROW * np.array(axes)], axis=1)
        viewer.add_vectors(vectors, edge_width=size / 8, name="z axes")
    napari.run()


if __name__ == "__main__":
    main()
'''


def write_views(out: Path, maps: str | Sequence[str], voxel_size: float, box: int) -> tuple[str, ...]:
    """Write the scripts, and what they show, for a run's maps and its ``poses.star``.

    Parameters
    ----------
    out
        The run's folder.
    maps
        Name of the map in it, or names of several to be shown side by side.
    voxel_size, box
        Of the maps: angstrom and voxels.

    Returns
    -------
    What to tell of them, one line each.
    """
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    listing = read_list(out / "poses.star")
    reach = box * voxel_size / 4
    placed = _placed(listing, voxel_size)
    marked = _write_markers(folder, listing, placed, reach) if placed is not None else {}
    names = [maps] if isinstance(maps, str) else list(maps)
    write_text(folder / "chimerax.cxc", _chimerax(names, marked))
    name = "view_in_napari.py"
    listed = "[" + ", ".join(f'"{one}"' for one in names) + "]"
    write_text(folder / name, _NAPARI.format(maps=listed, named=", ".join(names), name=name, arrow=reach))
    with_them = " and the particles in their tomograms" if marked else ""
    what = "the map" if len(names) == 1 else "the maps"
    return (f"{folder / 'chimerax.cxc'}, {folder / name}: {what}{with_them}, to open in ChimeraX and napari",)


def _placed(listing: ParticleList, voxel_size: float) -> Float[Tensor, "particles 3"] | None:
    """Where particles lie in their tomograms, angstrom; None where the list does not say."""
    try:
        return places(listing, listing.voxel_sizes or [voxel_size] * len(listing.names))
    except InputError:
        return None


def _write_markers(
    folder: Path, listing: ParticleList, placed: Float[Tensor, "particles 3"], reach: float
) -> dict[str, str]:
    """``particles.csv``, and a file of markers for each tomogram; by name of the tomogram, those with most first."""
    count = len(listing.names)
    tomograms = list(listing.tomograms) if listing.tomograms is not None else ["tomogram"] * count
    scores = listing.scores if listing.scores is not None else torch.zeros(count, dtype=torch.float64)
    poses = listing.tomogram_poses(1.0)
    axes = torch.tensor([[0.0, 0.0, 1.0]]).expand(count, 3) if poses is None else poses.rotations[:, :, 2]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, place, score, axis in zip(tomograms, placed.tolist(), scores.tolist(), axes.tolist(), strict=True):
        writer.writerow([cell(name), *(f"{v:.3f}" for v in place), f"{score:.6f}", *(f"{v:.5f}" for v in axis)])
    write_text(folder / "particles.csv", text.getvalue())
    colours = score_colours(scores)
    files: dict[str, str] = {}
    for name, _ in Counter(tomograms).most_common():
        rows = [row for row, other in enumerate(tomograms) if other == name]
        stem = re.sub(r"[^\w.-]", "_", Path(name).stem or "tomogram", flags=re.ASCII)
        files[name] = next(
            file for k in range(len(files) + 1) if (file := f"{stem}{f'_{k}' if k else ''}.cmm") not in files.values()
        )
        write_text(folder / files[name], _markers(stem, rows, placed, colours, reach / 3))
    return files


def score_colours(scores: Float[Tensor, " particles"]) -> Float[Tensor, "particles 3"]:
    """Red, green and blue of each score, 0 to 1, from dark (low) to bright (high)."""
    from matplotlib import colormaps  # half a second, for those who have positions

    known = scores.double().nan_to_num(float(scores.nanmedian()) if bool(scores.isfinite().any()) else 0.0)
    low, high = (float(known.quantile(q)) for q in _SPREAD)
    share = ((known - low) / (high - low if high > low else math.inf)).clamp(0, 1)
    return torch.from_numpy(colormaps["viridis"](share.numpy())[:, :3])


def _markers(
    name: str,
    rows: list[int],
    placed: Float[Tensor, "particles 3"],
    colours: Float[Tensor, "particles 3"],
    radius: float,
) -> str:
    """A marker set as Chimera and ChimeraX read it."""
    root = ElementTree.Element("marker_set", name=name)
    for row in rows:
        known = {"id": str(row + 1), "radius": f"{radius:.3f}"}
        known |= dict(zip("xyz", (f"{value:.3f}" for value in placed[row].tolist()), strict=True))
        known |= dict(zip("rgb", (f"{value:.4f}" for value in colours[row].tolist()), strict=True))
        ElementTree.SubElement(root, "marker", known)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _chimerax(maps: Sequence[str], marked: dict[str, str]) -> str:
    """Commands that open the maps and the markers of one tomogram; the others stand below, to be taken in."""
    several = len(maps) > 1
    what = "the maps side by side" if several else "the map"
    lines = [
        f"# Open this file in ChimeraX: {what}, and the particles of a tomogram, coloured by score.",
        "# In a session without other models: the commands below count from 1.",
    ]
    for number, one in enumerate(maps, start=1):
        lines.append(f'open "../{one}" name {Path(one).stem if several else "map"}')
        lines.append(f"volume #{number} style surface sdLevel 3")
    lines += [f"tile #1-{len(maps)}", "view"] if several else ["view"]
    opens = [f'open "{file}"' for file in marked.values()]
    if opens:
        lines += [
            "# Particles of the tomogram that has most of them; open the tomogram itself to see them in it.",
            opens[0],
        ]
        lines += [f"# {line}" for line in opens[1:]]
        lines += ["# With the plugin ArtiaX ../poses.star itself can be opened as a particle list."]
    return "\n".join(lines) + "\n"
