"""A whole file of every kind that torchsag reads, and the reader of each."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imodmodel
import numpy as np
import pandas as pd
import torch

from torchsag.app.catalogue import command_keys
from torchsag.app.components import build
from torchsag.app.composition import compose_command
from torchsag.app.experiment_files import expand_experiment_files
from torchsag.geometry import matrix_to_zyz
from torchsag.io import convert_list, read_map, read_particles, write_map
from torchsag.io.lists import read_list
from torchsag.io.position_list import read_positions
from torchsag.io.wedge_list import read_wedge_list
from torchsag.report.alignment import AlignmentPage
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.provenance import Provenance
from torchsag.runs.record import read_record, require_poses, write_record
from torchsag.simulation.atoms import read_atoms
from torchsag.simulation.scattering import ElectronScattering
from torchsag.workflows.rebuild_report import RebuildReport

_TESTS = Path(__file__).parents[2] / "tests"
sys.path[:0] = [str(_TESTS / "campaigns"), str(_TESTS)]
from small_data import write_set  # noqa: E402
from tilt_projects import Project  # noqa: E402


@dataclass(frozen=True)
class WholeFile:
    """An undamaged file.

    Attributes
    ----------
    path
        Where it is; damage is done in place, since lists name other files.
    read
        Reads it as torchsag does; whatever it gives back is sane, or it has raised.
    entries
        Bytes between its entries, where each stands for one particle or atom: what a whole one says must not change.
    """

    path: Path
    read: Callable[[Path], Any]
    entries: bytes | int | None = None


def whole_files(folder: Path, report: bool = True) -> dict[str, WholeFile]:
    """One of each kind, below `folder`; with `report` also the files of a finished run, which takes some seconds."""
    write_set(folder, 4)
    _list_with_poses(folder / "poses.csv")
    found = {
        **_lists(folder), **_maps(folder), **_structures(folder), **_checkpoints(folder), **_stacks(folder / "stacks"),
        **_picks(folder / "picks"),
        "yaml": WholeFile(_yaml(folder), _settings),
    }  # fmt: skip
    return {**found, **_results(folder)} if report else found


_LABELS = ("volume", "tilt_min_deg", "tilt_max_deg", "tomogram", "half", "class")
_NUMBERS = ("x", "y", "z", "rot_deg", "tilt_deg", "psi_deg", "shift_x", "shift_y", "shift_z")


def _list_with_poses(path: Path) -> None:
    turns = torch.linalg.qr(torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    angles = torch.rad2deg(matrix_to_zyz(turns * torch.linalg.det(turns)[:, None, None])).tolist()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*_LABELS, *_NUMBERS])
        for k, turn in enumerate(angles):
            place = (100.5 + 7 * k, 211.25 - 3 * k, 57.75 + k)
            degrees = [f"{angle:.4f}" for angle in turn]
            row = [f"p{k}.mrc", -60, 58, f"ts_{1 + k // 2}", 1 + k % 2, 1 + k // 2, *place, *degrees]
            writer.writerow([*row, 0.5 * k - 1.25, 0.75 - k / 4, 0.125])


def _lists(folder: Path) -> dict[str, WholeFile]:
    found = {"csv": WholeFile(folder / "poses.csv", _list_and_set, b"\n")}
    for kind, suffix in (("relion", ".star"), ("dynamo", ".tbl"), ("pytom", ".xml"), ("stopgap", ".star")):
        path = folder / f"{kind}{suffix}"
        convert_list(folder / "poses.csv", path, program=kind, voxel_size_angstrom=10.0)
        found[kind] = WholeFile(path, _list_and_set, b"</Particle>" if kind == "pytom" else b"\n")
    convert_list(folder / "poses.csv", folder / "motl.em", program="av3", voxel_size_angstrom=10.0)
    found["av3"] = WholeFile(folder / "motl.em", _list_and_set, 80)
    rows = "".join(
        f"{1 + k // 3} {angle} 3.0 {5 * k} 300 2.7 0.07\n" for k, angle in enumerate((-60, 0, 57, -54, 3, 60))
    )
    names = ["tomo_num", "tilt_angle", "defocus", "exposure", "voltage", "cs", "amp_contrast"]
    text = "\ndata_stopgap_wedgelist\n\nloop_\n" + "".join(f"_{name}\n" for name in names) + rows
    (folder / "tilts.star").write_text(text)
    found["wedge list"] = WholeFile(folder / "tilts.star", read_wedge_list)
    return found


def _picks(folder: Path) -> dict[str, WholeFile]:
    """What picking programs write."""
    folder.mkdir()
    (folder / "picks.csv").write_text("tomogram,x,y,z\n" + "".join(f"a.mrc,{k},2{k},3.5\n" for k in range(4)))
    found = {"positions": WholeFile(folder / "picks.csv", _positions, b"\n")}
    places = [{"x": 100.5 + k, "y": 200.25, "z": 50.0 - k} for k in range(3)]
    turn = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    matrix = [[*line, 0.0] for line in turn] + [[0.0, 0.0, 0.0, 1.0]]
    points = [{"location": place, "transformation_": matrix, "instance_id": 0, "score": 1.0} for place in places]
    copick = {
        "run_name": "TS_1",
        "voxel_spacing": 10.0,
        "unit": "angstrom",
        "points": points,
        "trust_orientation": True,
    }
    eman = {"apix_unbin": 2.5, "boxes_3d": [[10, -20, 5.5, "manual", 0.7, 0], [1, 2, 3, "tm", 0.2, 1]]}
    portal = [{"type": "orientedPoint", "location": place, "xyz_rotation_matrix": turn} for place in places]
    texts = {
        "copick": ("u_1_ribosome.json", json.dumps(copick)),
        "eman2": ("TS_1_info.json", json.dumps(eman)),
        "data portal": ("points.ndjson", "\n".join(map(json.dumps, portal)) + "\n"),
        "peet": ("TS_1.csv", _PEET),
        "emclarity": ("TS_1_bin6.csv", _EMCLARITY),
        "eman2 lst": ("aliptcls3d_01.lst", _EMAN_LST),
    }
    (folder / "info").mkdir()
    for name in ("TS_1", "TS_2"):
        (folder / "info" / f"{name}_info.json").write_text(json.dumps({"apix_unbin": 2.5}))
    for kind, (name, text) in texts.items():
        (folder / name).write_text(text)
        found[kind] = WholeFile(folder / name, _positions, b"\n" if kind in _BY_LINE else None)
    (folder / "crop.tbl").write_text("".join(f"{k} 1 1 0 0 0 10 {k} 30" + " 0" * 14 + f" {k} 2 3\n" for k in (1, 2)))
    (folder / "crop.vll").write_text(
        "a.mrc\n> crop.tbl\nb.mrc\n* ftype = 1\n* ytilt = -50 57\n* apix = 6.0\n> crop.tbl\n"
    )
    found["dynamo volume list"] = WholeFile(folder / "crop.vll", _positions)
    table = {"object_id": [0, 0, 1], "contour_id": [0, 0, 0], "x": [10.5, 20.25, 3.0], "y": [11.5, 21.0, 4.0]}
    imodmodel.write(pd.DataFrame({**table, "z": [12.0, 22.0, 5.0]}), folder / "TS_1.mod")
    found["imod"] = WholeFile(folder / "TS_1.mod", _positions)
    return found


_BY_LINE = ("data portal", "peet", "emclarity", "eman2 lst")
_EMCLARITY = """\
5.25 6 0 1 1 1 1 1 1 0 101.5 202.0 33.25 10 50 30 0.797059 0.466895 0.383022 -0.589069 0.461389 0.663414 0.133022 \
-0.754407 0.642788 1
4.50 6 0 2 1 1 1 1 1 0 55.0 66.0 77.0 -100 120 75 -0.520569 -0.171021 0.836516 0.040288 0.973723 0.224144 -0.852869 \
0.150384 -0.500000 2
4.25 6 0 3 1 1 1 1 1 0 75.0 61.5 70.0 0 0 90 0.0 1.0 0.0 -1.0 0.0 0.0 0.0 0.0 1.0 1
"""
_EMAN_LST = """#LSX
# This file is in fast LST format.
# 250
0\tparticles3d/TS_1__ribo.hdf\t{"class":0,"coord":[10.0,-20.0,5.5],"score":-0.31,"xform.align3d":{"__class__":\
"Transform","matrix":"[0.565247,-0.402887,-0.719846,2.25,0.75874,0.59638,0.262003,-3.5,0.323744,-0.694272,0.642788,\
1.25]"}}
3\tparticles3d/TS_2__ribo_bin2.hdf\t{"class":1,"coord":[1.0,2.0,3.0],"score":-0.12,"xform.align3d":{"__class__":\
"Transform","matrix":"[-0.516676,-0.839862,0.166366,-1.5,-0.606797,0.496285,0.620885,0.75,-0.604023,0.219846,\
-0.766044,4]"}}
4\tparticles3d/TS_2__ribo_bin2.hdf\t{"class":0,"coord":[4.0,2.5,-3.0],"score":-0.2,"xform.align3d":{"__class__":\
"Transform","matrix":"[1,0,0,0.5,0,1,0,0,0,0,1,0]"}}
"""
_PEET = """CCC,reserved,reserved,pIndex,wedgeWT,NA,NA,NA,NA,NA,xOffset,yOffset,zOffset,NA,NA,reserved,EulerZ(1),\
EulerZ(3),EulerX(2),class
0.5,0,0,3,0,0,0,0,0,0,1.5,-2,0.25,0,0,0,-29.8,3.9,121.0,2
0.25,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,10,20,30,1
0.75,0,0,2,0,0,0,0,0,0,0.5,0,0,0,0,0,11,21,31,1
"""


def _sane(listing: Any) -> Any:
    poses = listing.poses(10.0)
    if poses is not None:
        assert bool(torch.isfinite(poses.shifts).all())
        off = poses.rotations @ poses.rotations.mT - torch.eye(3, dtype=torch.float64)
        assert float(off.abs().max()) < 1e-4
    assert listing.positions is None or bool(torch.isfinite(listing.positions).all())
    return listing


def _list_and_set(path: Path) -> Any:
    read_particles(path, voxel_size_angstrom=10.0)
    return _sane(read_list(path))


def _positions(path: Path) -> Any:
    return _sane(read_positions(path))


def _maps(folder: Path) -> dict[str, WholeFile]:
    for name in ("map.em", "map.mrc.gz"):
        write_map(folder / name, read_map(folder / "reference.mrc"))
    names = {"mrc": "p0.mrc", "em": "map.em", "mrc.gz": "map.mrc.gz"}
    return {kind: WholeFile(folder / name, _map) for kind, name in names.items()}


def _map(path: Path) -> torch.Tensor:
    density = read_map(path, 10.0).density
    assert bool(torch.isfinite(density).all())
    return density


def _structures(folder: Path) -> dict[str, WholeFile]:
    import gemmi

    model = gemmi.Model(1) if gemmi.__version__ >= "0.7" else gemmi.Model("1")
    chain, generator = gemmi.Chain("A"), np.random.default_rng(0)
    for number in range(1, 13):
        residue = gemmi.Residue()
        residue.name, residue.seqid, residue.entity_type = "GLY", gemmi.SeqId(str(number)), gemmi.EntityType.Polymer
        for name, element in (("N", "N"), ("CA", "C"), ("O", "O")):
            atom = gemmi.Atom()
            atom.name, atom.element, atom.occ = name, gemmi.Element(element), 1.0
            atom.pos = gemmi.Position(*generator.uniform(-40, 40, 3).round(3).tolist())
            residue.add_atom(atom)
        chain.add_residue(residue)
    model.add_chain(chain)
    made = gemmi.Structure()
    made.add_model(model)
    made.setup_entities()
    made.write_pdb(str(folder / "model.pdb"))
    made.make_mmcif_document().write_file(str(folder / "model.cif"))
    with gzip.open(folder / "model.pdb.gz", "wb") as file:
        file.write((folder / "model.pdb").read_bytes())
    names = {"pdb": "model.pdb", "cif": "model.cif", "pdb.gz": "model.pdb.gz"}
    return {kind: WholeFile(folder / name, _atoms) for kind, name in names.items()}


def _atoms(path: Path) -> Any:
    model = read_atoms(path, ElectronScattering())
    assert bool(torch.isfinite(model.positions).all())
    assert bool(torch.isfinite(model.amplitudes).all())
    return model


def _checkpoints(folder: Path) -> dict[str, WholeFile]:
    turns = torch.linalg.qr(torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(0)))[0].numpy()
    turns *= np.linalg.det(turns)[:, None, None]
    write_record(folder / "chunk.npz", {"rotations": turns, "shifts": np.zeros((5, 3), np.float32)})
    begun = Checkpoint.begin(folder, {"seed": "0", "method": "CurvatureSAG"}, True)
    return {
        "checkpoint": WholeFile(folder / "chunk.npz", _record),
        "checkpoint's settings": WholeFile(begun.folder / "settings.json", _begun),
    }


def _record(path: Path) -> dict[str, np.ndarray]:
    columns = read_record(path)
    require_poses(columns)
    return columns


def _begun(path: Path) -> str:
    """What is damaged is said, and begun anew; it is never taken for another run's."""
    Checkpoint.begin(path.parents[1], {"seed": "0", "method": "CurvatureSAG"}, True)
    return path.read_text(encoding="utf-8")


def _stacks(folder: Path) -> dict[str, WholeFile]:
    """RELION 5's four files of particles that are tilt images."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(1)
    blobs, heights = 3 * torch.randn(4, 3, generator=generator, dtype=torch.float64), torch.ones(4).double()
    whole = Project(blobs, heights, n=12).write_relion5(folder)
    names = {
        "tilt particles": "particles.star",
        "tomograms": "tomograms.star",
        "tilt series": "tilt_series/tomo_1.star",
    }

    def read(_: Path) -> Any:
        particles = read_particles(whole)
        assert particles.poses is not None
        assert bool(torch.isfinite(particles.poses.shifts).all())
        return particles.poses, particles.names

    found = {kind: WholeFile(folder / name, read) for kind, name in names.items()}
    found["tilt particles"] = WholeFile(folder / names["tilt particles"], read, b"\n")
    return {**found, "optimisation set": WholeFile(whole, read)}


_WORDS = ["particles=p.star", "reference=r.mrc", "out=o"]
_OWN = """# settings of one's own
seed: 7
chunk: 32
symmetry: D2
skip_bad: true
voxel_size_angstrom: 3.25
tilt_min_deg: -57.5
tilt_max_deg: 61.0
method:
  optimizer:
    batch_fraction: 0.5
  search:
    max_shift: 0.2
"""


def _yaml(folder: Path) -> Path:
    path = folder / "mine.yaml"
    path.write_text(_OWN)
    return path


def _settings(path: Path) -> dict[str, str]:
    """Everything `align` would run with, as flat text."""
    words = expand_experiment_files("align", [f"experiment={path}", *_WORDS])
    config = compose_command("align", words)
    build(config, (), command_keys("align"))
    return dict(_flat(config))


def _flat(node: Any, prefix: str = "") -> Any:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _flat(value, f"{prefix}{key}.")
    else:
        yield prefix.rstrip("."), repr(node)


def _results(folder: Path) -> dict[str, WholeFile]:
    """What `report` makes a page of."""
    from torchsag.app.main import main

    out, quiet = folder / "run", ["threads=1", "device=cpu"]
    words = [f"particles={folder / 'list.csv'}", f"reference={folder / 'reference.mrc'}", f"out={out}", *quiet]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if main(["align", *words]):
            raise RuntimeError("align does not run")

    def read(_: Path) -> dict[str, Any]:
        RebuildReport(str(out), AlignmentPage())(Provenance("report"))
        return json.loads((out / "metrics.json").read_text())

    names = {"metrics.json": "metrics.json", "slices.npz": "slices.npz"}
    return {kind: WholeFile(out / name, read) for kind, name in names.items()}
