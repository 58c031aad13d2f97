"""Lists and structures that once were accepted, or ended in a traceback: one sentence, or sane values."""

import os
from pathlib import Path

import pytest
import torch

from torchsag.errors import InputError
from torchsag.io import convert_list
from torchsag.io.lists import read_list
from torchsag.simulation.atoms import read_atoms
from torchsag.simulation.scattering import ElectronScattering

CASES = Path(os.environ.get("TORCHSAG_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")).parent / "cases/lists"
REFUSED = {
    "csv_superscript_half.csv": "half", "dynamo_nan_class_accepted.tbl": "class", "dynamo_nan_pose_accepted.tbl": "",
    "dynamo_nan_tag.tbl": "tag", "dynamo_nan_tomogram.tbl": "tomogram", "element_Es.pdb": "element",
    "nan_atom.pdb": "finite coordinates", "pytom_huge_class.xml": "", "pytom_nan_accepted.xml": "",
    "pytom_encoding.xml": "encodings are not supported",
}  # fmt: skip


def _read(path, out):
    if path.suffix == ".pdb":
        return read_atoms(path, ElectronScattering())
    listing = read_list(path)
    poses = listing.poses(10.0)
    assert poses is None or bool(torch.isfinite(poses.shifts).all() and torch.isfinite(poses.rotations).all())
    for name in ("back.csv", "back.star", "back.tbl"):
        convert_list(path, out / name, voxel_size_angstrom=10.0)
        assert len(read_list(out / name).names) == len(listing.names)
    return listing


needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}")


@needs_cases
@pytest.mark.parametrize("name", REFUSED)
def test_nonsense_is_refused_in_one_sentence(name, tmp_path):
    with pytest.raises(InputError) as refused:
        _read(CASES / name, tmp_path)
    assert name in str(refused.value)
    assert REFUSED[name] in str(refused.value)
    assert "\n" not in str(refused.value)


@needs_cases
@pytest.mark.parametrize("name", ["dynamo_class0.tbl", "latin1_optics_name.star"])
def test_what_can_be_read_has_sane_values(name, tmp_path):
    _read(CASES / name, tmp_path)


@needs_cases
def test_no_case_is_left_out():
    assert {path.name for path in CASES.iterdir()} == {*REFUSED, "dynamo_class0.tbl", "latin1_optics_name.star"}
