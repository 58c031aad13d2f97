"""``torchsag simulate`` from the command line: components, files as structures, bad input."""

import pytest
import torch

from torchsag.app.catalogue import choices
from torchsag.app.components import build
from torchsag.app.composition import compose_command
from torchsag.app.main import main
from torchsag.app.structure_files import expand_structure_files
from torchsag.errors import InputError
from torchsag.io import read_particles, write_map
from torchsag.particles import DensityMap
from torchsag.simulation.pipeline import Pipeline
from torchsag.simulation.pose_distribution import PoseDistribution
from torchsag.simulation.structures import Structure

SMALL = ["n=2", "box=24", "voxel_size_angstrom=10", "device=cpu"]


@pytest.mark.parametrize(
    ("group", "protocol"), [("structure", Structure), ("pipeline", Pipeline), ("poses", PoseDistribution)]
)
def test_every_component_builds_and_is_what_its_group_promises(group, protocol):
    for name in choices(group):
        words = ["out=x", f"{group}={name}"]
        if name in ("atoms", "map"):
            words.append("structure.path=f")
        assert isinstance(build(compose_command("simulate", words)[group]), protocol)


def test_top_level_numbers_reach_the_components():
    words = ["out=x", "snr=0.7", "tilt_deg=40", "max_shift_voxels=1.5", "resolution_angstrom=9"]
    fast = compose_command("simulate", words)
    full = compose_command("simulate", [*words, "pipeline=tilt_series"])
    assert (fast["pipeline"]["snr"], fast["pipeline"]["tilt_max_deg"]) == (0.7, 40)
    assert (full["pipeline"]["snr"], full["pipeline"]["tilts"]["tilt_max_deg"]) == (0.7, 40)
    assert fast["poses"]["max_shift"] == 1.5
    assert fast["structure"]["kernel"]["resolution_angstrom"] == 9


def test_parts_are_exchanged_by_name():
    words = [
        "out=x",
        "pipeline=tilt_series",
        "tilts@pipeline.tilts=listed",
        "pipeline.tilts.tilts_deg=[-10.0,0.0,10.0]",
    ]
    parts = ["detector@pipeline.detector=perfect", "back_projection@pipeline.filter=matched"]
    config = compose_command("simulate", [*words, *parts, "kernel@structure.kernel=situs"])
    pipeline = build(config["pipeline"])
    assert pipeline.tilts.angles_deg == [-10, 0, 10]
    assert type(pipeline.filter).__name__ == "MatchedFilter"
    assert build(config["structure"]).kernel.sigma_angstrom == pytest.approx(6 / 12**0.5)


def test_files_stand_for_components():
    assert expand_structure_files(["structure=a/b.pdb.gz", "n=2"]) == [
        "structure=atoms",
        "structure.path='a/b.pdb.gz'",
        "n=2",
    ]
    assert expand_structure_files(["structure='my map.mrc'"]) == ["structure=map", "structure.path='my map.mrc'"]
    assert expand_structure_files(["+structure@others.two=x.cif"]) == [
        "+structure@others.two=atoms",
        "others.two.path='x.cif'",
    ]
    assert expand_structure_files(["structure=capped", "out=a.mrc"]) == ["structure=capped", "out=a.mrc"]
    assert expand_structure_files(["mask=a/m.mrc.gz"]) == ["mask=file", "mask.path='a/m.mrc.gz'"]
    assert expand_structure_files(["focus=m.em"]) == ["mask@focus=file", "focus.path='m.em'"]
    assert expand_structure_files(["mask=from_map", "mask.path=m.mrc"]) == ["mask=from_map", "mask.path=m.mrc"]
    with pytest.raises(InputError, match="mask: expected a file ending in one of"):
        expand_structure_files(["mask=a/m.txt"])


def test_simulates_a_map_from_the_command_line(tmp_path, capsys):
    assert main(["simulate", f"out={tmp_path / 'a'}", *SMALL]) == 0
    assert "before the wedge" in capsys.readouterr().out
    made = tmp_path / "a" / "reference.mrc"
    assert main(["simulate", f"out={tmp_path / 'b'}", f"structure={made}", "pipeline.tilt_min_deg=-40", *SMALL]) == 0
    assert len(read_particles(tmp_path / "b")) == 2
    assert "tilt_min_deg: -40" in (tmp_path / "b" / "config.yaml").read_text()


def test_mixture_from_the_command_line(tmp_path):
    assert main(["simulate", f"out={tmp_path}", "+structure@others.second=capped", *SMALL, "n=6"]) == 0
    classes = read_particles(tmp_path).classes
    assert classes is not None
    assert sorted(set(classes.tolist())) == [1, 2]


def refusal(words, capsys):
    assert main(["simulate", *words]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


def test_bad_input_is_one_sentence_and_status_two(tmp_path, capsys):
    out = f"out={tmp_path / 'out'}"
    empty = tmp_path / "empty.pdb"
    empty.write_text("END\n")
    assert "found no atoms" in refusal([out, f"structure={empty}"], capsys)
    odd = tmp_path / "odd.pdb"
    odd.write_text("ATOM      1  QQ  ALA A   1       0.000   0.000   0.000  1.00 20.00          Qx\nEND\n")
    assert "expected an element up to Cf" in refusal([out, f"structure={odd}"], capsys)
    assert "use box=" in refusal([out, "box=16"], capsys)
    assert "tilt range" in refusal([out, "tilt_deg=95"], capsys)
    assert "tilt range" in refusal([out, "tilt_deg=95", "pipeline=tilt_series"], capsys)
    assert "snr" in refusal([out, "snr=0"], capsys)
    assert "snr" in refusal([out, "snr=-1", "pipeline=tilt_series"], capsys)
    assert "no such file" in refusal([out, "structure=none.cif"], capsys)
    assert "structure: expected one of" in refusal([out, "structure=rings"], capsys)
    assert "expected a file ending in one of .pdb" in refusal([out, "structure=a/model.docx"], capsys)
    assert not (tmp_path / "out").exists()


def test_a_map_without_voxel_size_is_refused(tmp_path, capsys):
    path = tmp_path / "bare.mrc"
    write_map(path, DensityMap(torch.randn(16, 16, 16, generator=torch.Generator().manual_seed(0)), 10.0))
    data = bytearray(path.read_bytes())
    data[40:52] = bytes(12)  # the cell's size
    path.write_bytes(data)
    message = refusal([f"out={tmp_path / 'out'}", f"structure={path}"], capsys)
    assert "structure.voxel_size_angstrom=" in message
    words = [f"structure={path}", "structure.voxel_size_angstrom=10", "n=2", "box=32", "voxel_size_angstrom=10"]
    assert main(["simulate", f"out={tmp_path / 'out'}", *words]) == 0
