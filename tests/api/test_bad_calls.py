"""Wrong arguments are answered in one sentence that names them, never by an error from deep inside."""

import json
import subprocess
import sys
import textwrap

import pytest

# Calls, with what the sentence must hold. They run in a process of their own: in this one, annotations are checked
# at each call, and would answer first.
CALLS = {
    "align('nowhere.star', reference)": "nowhere.star",
    "align(3, reference)": "particles: expected a ParticleSet, a ParticleBatch, an array",
    "align(None, reference)": "particles: expected a ParticleSet",
    "align(volumes, reference)": "voxel_size: expected the angstrom per voxel",
    "align(volumes, reference, voxel_size='six')": "voxel_size: expected a number of angstrom above 0, got 'six'",
    "align(volumes, reference, voxel_size=-1)": "voxel_size: expected a number of angstrom above 0, got -1",
    "align(volumes[0], reference, voxel_size=18)": "add the axis of particles with [None]",
    "align(volumes[..., :10], reference, voxel_size=18)": "expected cubic boxes, got (20, 20, 10)",
    "align(volumes + 0j, reference, voxel_size=18)": "give volumes in real space",
    "align(np.array(['a', 'b']), reference, voxel_size=18)": "particles: expected an array",
    "align([[1, 2], [3]], reference, voxel_size=18)": "particles: expected an array",
    "align(volumes, reference, voxel_size=18, tilt_range=60)": "tilt_range: expected a TiltRange",
    "align(volumes, reference, voxel_size=18, tilt_range=(60, -60))": "tilt range: expected -90 <=",
    "align(volumes, reference, voxel_size=18, tilt_range=('a', 'b'))": "tilt_range: expected a TiltRange",
    "align(batch, reference, voxel_size=18)": "voxel_size: expected none with a ParticleBatch",
    "align(batch, 'nowhere.mrc')": "nowhere.mrc",
    "align(batch, 5)": "reference: expected a DensityMap, an array [z, y, x] or a path, got int",
    "align(batch, volumes)": "reference: expected an array [z, y, x] of real numbers, got an array of shape",
    "align(batch, reference.density[:10])": "reference: expected the particles' box of (20, 20, 20)",
    "align(batch, DensityMap(reference.density, 3.0))": "reference: expected the particles' voxel size of 18",
    "align(batch, reference, method='sagg')": "method: expected one of",
    "align(batch, reference, method='mco_a')": "method: expected an aligner or the name of one",
    "align(batch, reference, method=CurvatureSAGAligner)": "got the class CurvatureSAGAligner",
    "align(batch, reference, method=7)": "method: expected an aligner or the name of one",
    "align(batch, reference, symmetry='D')": "symmetry: expected C1, Cn",
    "align(batch, reference, symmetry=7)": "symmetry: expected Symmetry or a name such as D7, got 7",
    "align(batch, reference, device='tpu')": "device: expected auto, cpu",
    "align(batch, reference, device=0)": "device: expected",
    "align(batch, reference, chunk=0)": "chunk: expected a whole number of at least 1, got 0",
    "align(batch, reference, seed='x')": "seed: expected a whole number of at least 0, got 'x'",
    "align(batch, reference, truth='t.star')": "t.star: no such file",
    "align(batch, reference, part='1/2')": "part: expected none from Python",
    "align(batch, reference, out=3)": "out: expected the path of a folder",
    "align(batch, reference, out='o', trut='t')": "did you mean 'truth'?",
    "average(batch, iterations='many')": "iterations: expected int, got 'many'",
    "average(batch, iterations=0)": "iterations: expected at least 1, got 0",
    "average(batch, iteration=3)": "iteration: expected a setting of average",
    "average(batch, start=5)": "start: expected Start, or one of the names",
    "average(batch, mask='spere')": "did you mean 'sphere'?",
    "average(batch, local_method=3)": "local_method: expected Aligner or None",
    "average(batch, reference=reference.density[:8])": "reference: expected the particles' box",
    "classify(batch, method='sag')": "method: expected a way to classify",
    "classify(batch, method=1)": "method: expected Classifier",
    "classify(batch, classes=99)": "classes: expected at most one per particle",
    "classify(batch, classes=2.5)": "classes: expected int, got 2.5",
    "simulate('phantm')": "did you mean 'phantom'?",
    "simulate('nowhere.pdb')": "structure: expected a file, got nowhere.pdb",
    "simulate(7)": "structure: expected a name, a structure",
    "simulate(volumes[0])": "voxel_size: expected the angstrom per voxel",
    "simulate(count=0)": "count: expected a whole number of at least 1",
    "simulate(snr='low')": "snr: expected a number, got 'low'",
    "simulate(snr=0)": "snr: expected a number above 0",
    "simulate(box=3)": "box: expected a whole number of at least 8",
    "simulate(tilt_range=None)": "tilt_range: expected a TiltRange",
    "simulate(reference.density[:10], voxel_size=18)": "structure: expected a cubic box",
    "read_map(5)": "path: expected a path, got int",
    "read_particles(None)": "source: expected a path, got NoneType",
    "write_map('x.mrc', volumes[0])": "density_map: expected a DensityMap, got ndarray",
    "write_particles('x.star', volumes)": "particles: expected a ParticleSet or a ParticleBatch",
    "write_particles('x.csv', batch)": "expected a name ending in .star",
    "write_particles('x.star', batch, truth[:2])": "poses: expected Poses, one for each of 4",
    "DensityMap('map.mrc', 6)": "density: expected a tensor [z, y, x], got str",
    "DensityMap(reference.density, 'six')": "density map: expected a voxel size above 0 angstrom, got 'six'",
    "DensityMap.from_array(volumes, 6)": "density: expected an array [z, y, x]",
    "TiltRange('a', 60)": "tilt_min_deg: expected an angle in degrees, got 'a'",
    "ParticleBatch.from_arrays(volumes, 18, weights=volumes[:2, :5])": "weights: expected 4 or 1 of",
    "ParticleBatch.from_arrays(volumes, 18, weights=volumes, tilt_range=(-60, 60))": "weights: expected either",
    "ParticleBatch.from_arrays(volumes * 0, 18)": "expected density that varies",
    "ParticleSet.from_arrays(volumes, 18, names=['a', 'a', 'b', 'c'])": "names: expected 4 different names",
    "ParticleSet.from_arrays(volumes, 18, names='abcd')": "names: expected 4 different names",
    "ParticleSet.from_arrays(volumes, 18, poses=truth[:2])": "poses: expected one for each of 4",
    "ParticleSet.from_arrays(volumes, 18, poses='listed')": "poses: expected Poses, got str",
    "ParticleSet.from_arrays(volumes[:0], 18)": "volumes: expected at least one particle",
}

SCRIPT = """
import json, sys
import numpy as np
from torchsag import *
from torchsag import InputError
from torchsag.alignment.curvature_sag import CurvatureSAGAligner

made = simulate("ribosome", 4, box=20, voxel_size=18, snr=1.0)
batch, truth, reference, volumes = made.particles, made.poses, made.reference, made.particles.volumes.numpy()
answers = {}
for call in json.load(sys.stdin):
    try:
        answers[call] = f"no error: {eval(call)!r:.80}"
    except InputError as error:
        answers[call] = f"InputError: {error}"
    except Exception as error:
        answers[call] = f"{type(error).__name__}: {error}"
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        input=json.dumps(list(CALLS)),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path_factory.mktemp("calls"),
    )
    return json.loads(run.stdout)


@pytest.mark.parametrize("call", CALLS)
def test_bad_call_is_one_sentence_that_names_the_argument(answers, call):
    answer = answers[call]
    assert answer.startswith("InputError: "), answer
    assert CALLS[call] in answer
    assert "\n" not in answer
