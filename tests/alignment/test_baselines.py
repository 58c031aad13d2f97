"""The baselines find poses as well as their authors meant them to."""

from functools import lru_cache

import pytest
import torch

from torchsag.alignment.aligner import Aligner, PreparedAligner
from torchsag.alignment.chen_frm import ChenFRM
from torchsag.alignment.fast_matching import FastMatching
from torchsag.alignment.xu_alber.aligner import XuAlber
from torchsag.alignment.xu_alber.damping_rules import GainRatioDamping
from torchsag.app.components import build
from torchsag.app.composition import compose_command
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry, rotation_distance
from torchsag.search.power_spectrum_matching import PowerSpectrumMatching
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

SEEDS = PowerSpectrumMatching(degree=16, num_candidates=5, separation_deg=20.0)
SMALL = {
    "fast_matching": FastMatching(search=SEEDS),
    "chen_frm": ChenFRM(search=SEEDS, degree=16),
    "xu_alber": XuAlber(search=SEEDS),
    "xu_alber_gain_ratio": XuAlber(search=SEEDS, damping=GainRatioDamping()),
}
# Median rotation error, degrees.
LIMITS = {"fast_matching": 7.0, "chen_frm": 1.2, "xu_alber": 1.2, "xu_alber_gain_ratio": 1.2}


@lru_cache
def aligned(name):
    reference = density_of(ribosome_phantom(), 32, 12.0)
    particles, truth = simulate_particles(reference, 8, 0.3, max_shift=2.0)
    aligner = SMALL[name].prepare(reference, Symmetry("C1"))
    return aligner, particles, truth, aligner(particles)


@pytest.mark.parametrize("name", SMALL)
def test_recovers_poses(name):
    aligner, _, truth, result = aligned(name)
    assert isinstance(SMALL[name], Aligner)
    assert isinstance(aligner, PreparedAligner)
    turned = rotation_distance(result.poses.rotations, truth.rotations).rad2deg()
    moved = (result.poses.shifts - truth.shifts).norm(dim=1)
    assert float(turned.median()) < LIMITS[name]
    assert float(moved.median()) < 0.4
    assert ((result.scores > 0.5) & (result.scores <= 1)).all()
    assert result.covariances.isnan().all()
    assert (result.passes > 1).all()


@pytest.mark.parametrize("name", SMALL)
def test_batch_does_not_matter(name):
    aligner, particles, _, whole = aligned(name)
    parts = [aligner(particles[:3]), aligner(particles[3:])]
    together = Poses.concatenate([part.poses for part in parts])
    assert float(rotation_distance(together.rotations, whole.poses.rotations).max()) < 1e-3


def test_refinement_improves_on_matching():
    scores = {name: aligned(name)[3].scores for name in SMALL}
    for name in ("chen_frm", "xu_alber", "xu_alber_gain_ratio"):
        assert (scores[name] > scores["fast_matching"] - 1e-3).all()


def test_gain_ratio_needs_fewer_steps_in_noise():
    reference = density_of(ribosome_phantom(), 32, 12.0)
    particles, _ = simulate_particles(reference, 6, 0.03, max_shift=2.0)
    passes = [
        float(SMALL[name].prepare(reference, Symmetry("C1"))(particles).passes.mean())
        for name in ("xu_alber", "xu_alber_gain_ratio")
    ]
    assert passes[1] < passes[0]


@pytest.mark.parametrize("name", ["fast_matching", "chen_frm", "xu_alber"])
def test_yaml_is_the_default(name):
    method = build(compose_command("align", ["particles=p", "reference=r", "out=o", f"method={name}"])["method"])
    assert method == type(method)()


@pytest.mark.parametrize(
    ("method", "field"),
    [
        (FastMatching, {"information": 0.0}),
        (ChenFRM, {"degree": 1}),
        (ChenFRM, {"max_rounds": 0}),
        (ChenFRM, {"settled_voxels": 0.0}),
        (XuAlber, {"tolerance": 0.0}),
        (XuAlber, {"max_rounds": 0}),
        (XuAlber, {"same": -1.0}),
    ],
)
def test_fields_are_checked(method, field):
    with pytest.raises(InputError, match=next(iter(field))):
        method(**field)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "snr", "limit_deg"),
    [
        (FastMatching(), 0.1, 3.0),
        (ChenFRM(), 0.1, 0.6),
        (ChenFRM(), 0.01, 1.6),
        (XuAlber(), 0.1, 0.6),
        (XuAlber(damping=GainRatioDamping()), 0.01, 1.6),
    ],
)
def test_published_quality(method, snr, limit_deg):
    """20 particles of an asymmetric phantom, 64 voxels, +-60 degrees; the bound is about 0.5 and 1.7 degrees rms."""
    reference = density_of(ribosome_phantom(), 64, 6.0, 12.0)
    particles, truth = simulate_particles(reference, 20, snr)
    result = method.prepare(reference, Symmetry("C1"))(particles)
    turned = rotation_distance(result.poses.rotations, truth.rotations).rad2deg()
    assert float(turned.median()) < limit_deg
    assert int((turned < 10).sum()) >= 19
    assert torch.isfinite(result.scores).all()
