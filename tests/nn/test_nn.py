"""Layers, the model they make, and data sets: what a training loop relies on."""

import copy
import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, to_half_spectrum
from torchsag.geometry import Poses, random_rotations, rotation_distance
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.sampling import place
from torchsag.imaging.wedge import missing_wedge
from torchsag.nn import (
    CTF,
    DensityLayer,
    EulerPoses,
    ForwardModel,
    SimulatedParticles,
    SixDPoses,
    SubtomogramDataset,
    TangentPoses,
    WedgeLayer,
    WhiteNoise,
    six_to_matrix,
)  # fmt: skip
from torchsag.particles import ParticleBatch, ParticleSet, VolumeSource
from torchsag.particles.batch import check_half_spectra
from torchsag.particles.weighting import Transfer
from torchsag.simulation import FastPipeline, UniformPoses, density_of, ribosome_phantom, simulate_particles

REFERENCE = density_of(ribosome_phantom(), 16, 24.0, 60.0)
LAYERS = [EulerPoses, TangentPoses, SixDPoses]


def poses(count=3, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return Poses(random_rotations(count, generator, dtype), torch.randn(count, 3, generator=generator, dtype=dtype))


def particles(count=4, snr=1.0):
    return simulate_particles(REFERENCE, count, snr, seed=2)


@pytest.mark.parametrize("layer", LAYERS)
def test_pose_layers_start_at_their_poses_and_can_be_indexed(layer):
    start = poses()
    made = layer(start)
    torch.testing.assert_close(made().rotations, start.rotations)
    torch.testing.assert_close(made().shifts, start.shifts)
    torch.testing.assert_close(made(torch.tensor([2, 0])).rotations, start.rotations[[2, 0]])
    assert len(made) == 3
    assert all(name.endswith(("_rad", "_voxels")) or name == "columns" for name, _ in made.named_parameters())


@pytest.mark.parametrize("layer", LAYERS)
def test_pose_layers_give_rotations_and_exact_gradients_wherever_they_are(layer):
    made = layer(poses(dtype=torch.float64)).double()
    names, values = zip(*made.named_parameters(), strict=True)
    moved = [v.detach() + 0.3 * torch.randn(v.shape, generator=torch.Generator().manual_seed(1)) for v in values]

    def call(*parameters):
        found = torch.func.functional_call(made, dict(zip(names, parameters, strict=True)))
        return found.rotations, found.shifts

    rotations, _ = call(*moved)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64).expand(3, 3, 3))
    assert bool((torch.linalg.det(rotations) > 0).all())
    assert torch.autograd.gradcheck(call, [one.requires_grad_() for one in moved], fast_mode=True)


def test_rebasing_keeps_the_poses():
    layer = TangentPoses(poses())
    with torch.no_grad():
        layer.rotvec_rad += 0.4
        layer.move_voxels -= 1.0
    before = layer()
    layer.rebase()
    assert float(rotation_distance(layer().rotations, before.rotations).max()) < 1e-3
    torch.testing.assert_close(layer().shifts, before.shifts)
    assert layer.rotvec_rad.abs().max() == 0


def test_six_numbers_reach_every_rotation_whatever_their_length():
    rotations = random_rotations(20, torch.Generator().manual_seed(0))
    six = rotations[..., :2].mT.flatten(-2) * 3.0
    torch.testing.assert_close(six_to_matrix(six), rotations)


def model_of(batch, start):
    box = batch.box
    defocus = torch.full((len(batch),), -2.0)
    return ForwardModel(
        DensityLayer(REFERENCE), TangentPoses(start), [WedgeLayer.of(batch), CTF(box, 24.0, defocus)], WhiteNoise(0.5)
    )


def test_model_is_the_functions_of_the_library_put_together():
    batch, truth = particles()
    model = model_of(batch, truth)
    placed = to_half_spectrum(place(CubicSpline(2).prepare(REFERENCE.density), truth, batch.box))
    ctf = model.transfers[1]
    assert isinstance(ctf, CTF)
    transfer = ctf.microscope.ctf(ctf.frequency_per_angstrom, -2.0)
    torch.testing.assert_close(model(), placed * batch.weights[0] * transfer)
    torch.testing.assert_close(model([3, 1]), model()[[3, 1]])


def test_everything_to_be_learned_is_a_parameter_and_everything_is_saved():
    batch, truth = particles()
    model = model_of(batch, truth)
    assert {name for name, _ in model.named_parameters()} == {
        "density.density", "poses.rotvec_rad", "poses.move_voxels", "transfers.1.defocus_um", "noise.log_std",
    }  # fmt: skip
    model.negative_log_likelihood(batch).sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = model_of(batch[[1, 0, 2, 3]], truth[[1, 0, 2, 3]])
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(other(), model())
    assert copy.deepcopy(model).double()().dtype == torch.complex128


def test_likelihood_is_least_at_the_noise_that_is_there():
    batch, truth = particles(4, snr=0.3)
    sigma = math.sqrt(float(REFERENCE.density.var(correction=0)) / 0.3)
    model = ForwardModel(DensityLayer(REFERENCE), EulerPoses(truth), [WedgeLayer.of(batch)], WhiteNoise(sigma))

    @torch.no_grad()
    def at(factor):
        model.noise.log_std.copy_(torch.tensor(factor * sigma).log())
        return float(model.negative_log_likelihood(batch).sum())

    assert at(1.0) < min(at(0.97), at(1.03))


@pytest.mark.slow
def test_poses_are_recovered_by_an_ordinary_loop():
    batch, truth = particles(4, snr=100.0)
    start = truth.retract(0.1 * torch.randn(4, 6, generator=torch.Generator().manual_seed(3)))
    model = ForwardModel(DensityLayer(REFERENCE), TangentPoses(start), [WedgeLayer.of(batch)], WhiteNoise(1.0))
    optimizer = torch.optim.Adam(model.poses.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        model.negative_log_likelihood(batch).sum().backward()
        optimizer.step()
    before = rotation_distance(start.rotations, truth.rotations).mean()
    after = rotation_distance(model.poses().rotations, truth.rotations).mean()
    assert float(after) < 0.5 * float(before)


def test_samples_differ_by_generator_and_hold_the_noise():
    batch, truth = particles(2)
    model = ForwardModel(DensityLayer(REFERENCE), EulerPoses(truth), [], WhiteNoise(5.0))
    first, again = (model.sample(generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, again)
    rest = first - from_half_spectrum(model(), batch.box)
    assert float(rest.std()) == pytest.approx(5.0, rel=0.05)


def test_model_refuses_particles_of_another_size():
    batch, truth = particles(2)
    model = model_of(batch, truth)
    other, _ = simulate_particles(density_of(ribosome_phantom(), 16, 26.0, 60.0), 2, 1.0)
    with pytest.raises(InputError, match="angstrom per voxel"):
        model.negative_log_likelihood(other)
    with pytest.raises(InputError, match="above 0"):
        WhiteNoise(0.0)


# Data sets


class Numbered:
    """A reader whose volumes say which they are; a class, so that workers can be started anew."""

    def __call__(self, source):
        generator = torch.Generator().manual_seed(int(str(source.path)[1:]))
        return torch.randn(8, 8, 8, generator=generator)


@pytest.fixture
def listed():
    names = tuple(f"p{i}" for i in range(7))
    sources = tuple(VolumeSource(Path(name)) for name in names)
    return ParticleSet(
        names, (8, 8, 8), 10.0, sources, (None,) * 7, Transfer(), Numbered(), poses(7, dtype=torch.float64)
    )


def test_particle_sets_are_indexed_sliced_masked_and_iterated(listed):
    assert listed[2].names == ("p2",)
    assert listed[-1].names == ("p6",)
    assert listed[1:3].names == ("p1", "p2")
    assert listed[[3, 0]].names == listed[np.array([3, 0])].names == listed[torch.tensor([3, 0])].names == ("p3", "p0")
    mask = torch.tensor([True, False] * 3 + [True])
    assert listed[mask].names == listed[mask.numpy()].names == listed[mask.tolist()].names == ("p0", "p2", "p4", "p6")
    assert [one.names[0] for one in listed] == list(listed.names)
    assert listed.load([-1]).names == ("p6",)
    with pytest.raises(IndexError, match="there are 7"):
        listed[7]
    with pytest.raises(IndexError, match="there are 7"):
        listed.load([999])
    with pytest.raises(InputError, match="at least one particle to load"):
        listed.load([])
    with pytest.raises(InputError, match="mask of 7"):
        listed[[True, False]]
    with pytest.raises(InputError, match="whole number"):
        listed["p1"]


def test_batches_are_indexed_joined_and_moved(listed):
    batch = listed.load(range(4))
    assert batch[1].names == ("p1",)
    assert batch[1].spectra.shape == (1, 8, 8, 5)
    assert batch[torch.tensor([True, False, True, False])].names == batch[[0, 2]].names == ("p0", "p2")
    joined = ParticleBatch.concatenate([batch[:1], batch[1:]])
    assert torch.equal(joined.spectra, batch.spectra)
    assert len(joined.weights) == 1
    assert joined.poses is not None
    double = batch.to(torch.float64)
    assert (double.spectra.dtype, double.weights.dtype) == (torch.complex128, torch.float64)
    assert double.to("cpu", torch.float32).spectra.dtype == torch.complex64
    with pytest.raises(InputError, match="float32 or float64"):
        batch.to(torch.bfloat16)


def test_batches_refuse_what_does_not_fit():
    volumes, wedge, index = torch.randn(2, 8, 8, 8), missing_wedge((8, 8, 8), -60.0, 60.0)[None], torch.zeros(2).long()
    with pytest.raises(InputError, match=r"spectra as half-spectra \[any, 8, 8, 5\]"):
        ParticleBatch(torch.zeros(2, 8, 8, 8) + 0j, torch.ones(1, 8, 8, 8), index, ("a", "b"), 10.0, (8, 8, 8))
    # Here the suite's run-time checks of shapes come first; users have none.
    with pytest.raises(InputError, match=r"weights as half-spectra .*half_weight"):
        check_half_spectra("weights", (1, 8, 8, 8), (8, 8, 8))
    with pytest.raises(InputError, match="2 names"):
        ParticleBatch.from_volumes(volumes, wedge, index, ("a",), 10.0)
    with pytest.raises(InputError, match="weight_index from 0 to 0"):
        ParticleBatch.from_volumes(volumes, wedge, index + 1, ("a", "b"), 10.0)
    with pytest.raises(InputError, match="above 0"):
        ParticleBatch.from_volumes(volumes, wedge, index, ("a", "b"), 0.0)
    with pytest.raises(InputError, match="2 poses"):
        ParticleBatch.from_volumes(volumes, wedge, index, ("a", "b"), 10.0, poses(3))
    good, other = (ParticleBatch.from_volumes(volumes, wedge, index, ("a", "b"), size) for size in (10.0, 11.0))
    with pytest.raises(InputError, match="one box and voxel size"):
        ParticleBatch.concatenate([good, other])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_loader_over_a_list_gives_whole_batches(listed, workers):
    data = SubtomogramDataset(listed)
    context = "forkserver" if workers else None
    loader = DataLoader(data, batch_size=3, num_workers=workers, multiprocessing_context=context)
    batches = list(loader)
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert torch.equal(torch.cat([batch.spectra for batch in batches]), listed.load(range(7)).spectra)
    assert data[2].names == ("p2",)
    assert data.collate([data[0], data[5]]).names == ("p0", "p5")


def test_loader_says_which_particles_a_batch_holds(listed):
    data = SubtomogramDataset(listed, with_index=True)
    order = [4, 0, 6, 2, 1]
    for index, batch in DataLoader(data, batch_size=2, sampler=order):
        assert batch.names == tuple(f"p{i}" for i in index.tolist())
        order = order[len(index) :]
    assert order == []
    index, batch = data.collate([data[5], data[3]])
    assert index.tolist() == [5, 3]
    assert batch.names == ("p5", "p3")


def stream(**settings):
    return SimulatedParticles(REFERENCE, FastPipeline(1.0), UniformPoses(1.0), batch_size=2, seed=3, **settings)


@pytest.mark.parametrize("workers", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_simulation_in_workers_makes_what_one_process_makes(workers):
    here = list(stream(batches=5))
    there = list(DataLoader(stream(batches=5), batch_size=None, num_workers=workers))
    assert [batch.names for batch, _ in there] == [batch.names for batch, _ in here]
    for (batch, true), (other, same) in zip(here, there, strict=True):
        torch.testing.assert_close(batch.spectra, other.spectra)
        torch.testing.assert_close(true.rotations, same.rotations)
    names = [name for batch, _ in here for name in batch.names]
    assert len(set(names)) == 10


def test_simulation_goes_on_and_epochs_differ():
    endless = iter(stream())
    first, second, third = (next(endless)[0].spectra for _ in range(3))
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    again = stream(batches=1)
    assert torch.equal(next(iter(again))[0].spectra, first)
    again.set_epoch(1)
    assert not torch.equal(next(iter(again))[0].spectra, first)
    with pytest.raises(InputError, match="at least 1"):
        stream(batches=0)
