"""Extracted tilt images against zarr-particle-tools 1.0.1, whose own tests hold it to RELION 5."""

import subprocess
import sys
import venv

import mrcfile
import numpy as np
import pytest
from test_from_tilt_series import extract, scene, write_project  # noqa: F401 - a fixture

from torchsag.io.star import Loop, read_star, write_star

PEER = """
from pathlib import Path
from zarr_particle_tools.subtomo_extract import extract_subtomograms

if __name__ == "__main__":
    for out, settings in {"plain": {"box_size": 24, "no_ctf": True}, "pre": {"box_size": 48, "crop_size": 24}}.items():
        extract_subtomograms(
            output_dir=Path("peer") / out, particles_starfile=Path("picks.star"),
            tomograms_starfile=Path("tomograms.star"), tiltseries_relative_dir=Path(), no_circle_crop=True, no_ic=True,
            **settings,
        )
"""


def _standardised(path):
    with mrcfile.open(path) as file:
        images = file.data.astype(float)
    images -= images.mean((1, 2), keepdims=True)
    return images / images.std((1, 2), keepdims=True)


@pytest.mark.slow
def test_images_are_those_of_zarr_particle_tools(scene, tmp_path):  # noqa: F811
    (tmp_path / "TS_1.mrcs").unlink()
    write_project(scene, ctf=True)
    optics = {
        "rlnOpticsGroup": "1", "rlnOpticsGroupName": "o1", "rlnVoltage": "300", "rlnSphericalAberration": "2.7",
        "rlnAmplitudeContrast": "0.07", "rlnTomoTiltSeriesPixelSize": "4.0",
    }  # fmt: skip
    particles = read_star(tmp_path / "picks.star")["particles"].columns
    table = Loop({**particles, "rlnOpticsGroup": ["1"] * 7})
    write_star(
        tmp_path / "picks.star", {"optics": Loop({k: [v] for k, v in optics.items()}), "particles": table}, 50001
    )
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "zarr-particle-tools==1.0.1"], check=True)
    (tmp_path / "peer.py").write_text(PEER)
    subprocess.run([python, "peer.py"], cwd=tmp_path, check=True, stdout=sys.stderr)
    for out, within in (("plain", 1e-5), ("pre", 1e-3)):
        extract(scene, out=str(tmp_path / out), premultiply=out == "pre", background_radius_voxels=0.0)
        for k in range(6):  # boxes of the seventh reach over the border, which the two fill differently
            theirs = _standardised(tmp_path / "peer" / out / "Subtomograms" / "TS_1" / f"{k + 1}_stack2d.mrcs")
            ours = _standardised(tmp_path / out / "particles" / f"particle_{k:06d}.mrcs")
            assert np.abs(ours - theirs).max() < within
