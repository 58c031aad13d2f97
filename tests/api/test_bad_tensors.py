# ruff: noqa: E501
"""Tensors, poses, batches, layers and optimizers that do not fit are answered in one sentence that names them."""

import json
import subprocess
import sys

import pytest

# Calls, with what the sentence must hold. In a process of their own: in this one, annotations would answer first.
CALLS = {
    "Poses(R, t[:2])": "rotations and shifts: expected as many of each",
    "Poses(R, torch.zeros(4, 2))": "shifts: expected a tensor [..., 3]",
    "Poses(R.numpy(), t.numpy())": "rotations: expected a tensor [..., 3, 3]",
    "Poses(R, t.numpy())": "shifts: expected a tensor [..., 3]",
    "Poses(R[0], t)": "rotations and shifts: expected as many of each",
    "Poses(R.half(), t.half())": "rotations: expected float32 or float64",
    "Poses(R.long(), t)": "rotations: expected a tensor [..., 3, 3] of real numbers",
    "Poses(R[..., :2], t)": "rotations: expected a tensor [..., 3, 3]",
    "Poses([1, 2], t)": "rotations: expected a tensor [..., 3, 3]",
    "Poses(None, None)": "rotations: expected a tensor [..., 3, 3]",
    "Poses.from_zyz(R, t)": "rotations and shifts: expected as many of each",
    "Poses.from_zyz(t.numpy(), t)": "Euler angles: expected a tensor [..., 3]",
    "Poses.from_zyz(torch.zeros(4, 2), t)": "Euler angles: expected a tensor [..., 3]",
    "Poses.from_zyz(t, t[:3])": "rotations and shifts: expected as many of each",
    "Poses.identity(-1)": "count: expected a whole number of at least 0",
    "Poses.identity('a')": "count: expected a whole number of at least 0",
    "Poses.identity(2.5)": "count: expected a whole number of at least 0",
    "Poses.identity(2, dtype=torch.int64)": "rotations: expected a tensor [..., 3, 3] of real numbers",
    "Poses.identity(2, device='tpu')": "poses: expected a device such as cpu or cuda:0, a precision such as to",
    "Poses.concatenate([])": "parts: expected a list of at least one batch of poses",
    "Poses.concatenate([P, 3])": "parts: expected Poses",
    "Poses.concatenate(P)": "parts: expected a list of at least one batch of poses",
    "P['a']": "poses: expected numbers, a slice or a mask",
    "P.where(torch.tensor([True]), P)": "condition and poses: expected as many of each",
    "P.where(torch.ones(4), P)": "condition: expected a tensor [...] of whole numbers",
    "P.where(torch.tensor([True] * 4), P[:2])": "poses and others: expected as many of each, or one of either",
    "P.where(torch.tensor([True] * 4), 3)": "others: expected Poses",
    "P.compose(P[:2])": "poses and inner: expected as many of each, or one of either",
    "P.compose(R)": "inner: expected Poses",
    "P.compose(P.to(torch.float64))": "poses and inner: expected one precision",
    "P.retract(torch.zeros(4, 5))": "move: expected a tensor [..., 6]",
    "P.retract(torch.zeros(3, 6))": "poses and move: expected as many of each, or one of either",
    "P.retract(np.zeros((4, 6)))": "move: expected a tensor [..., 6]",
    "P.retract(torch.zeros(4, 6, dtype=torch.half))": "rotation vectors: expected float32 or float64",
    "P.move_to(P[:3])": "poses and other: expected as many of each, or one of either",
    "P.move_to(R)": "other: expected Poses",
    "P.to('gpu')": "poses: expected a device such as cpu or cuda:0, a precision such as to",
    "P.to(torch.half)": "rotations: expected float32 or float64",
    "P.to(torch.int64)": "rotations: expected a tensor [..., 3, 3] of real numbers",
    "P.unflatten((3, 2))": "shape: expected one for 4 poses",
    "rotvec_to_matrix(torch.zeros(4))": "rotation vectors: expected a tensor [..., 3]",
    "rotvec_to_matrix([0, 0, 0])": "rotation vectors: expected a tensor [..., 3]",
    "rotvec_to_matrix(np.zeros(3))": "rotation vectors: expected a tensor [..., 3]",
    "rotvec_to_matrix(torch.zeros(3, dtype=torch.long))": "rotation vectors: expected a tensor [..., 3] of real numbers",
    "zyz_to_matrix(torch.zeros(2))": "Euler angles: expected a tensor [..., 3]",
    "zyz_to_matrix(torch.zeros(3, 4))": "Euler angles: expected a tensor [..., 3]",
    "zyz_to_matrix(torch.tensor(0.0))": "Euler angles: expected a tensor [..., 3]",
    "zyz_to_matrix(np.zeros(3))": "Euler angles: expected a tensor [..., 3]",
    "matrix_to_zyz(torch.zeros(4, 3))": "rotations: expected a tensor [..., 3, 3]",
    "matrix_to_zyz(np.eye(3))": "rotations: expected a tensor [..., 3, 3]",
    "matrix_to_rotvec(torch.zeros(4, 3))": "rotations: expected a tensor [..., 3, 3]",
    "rotation_distance(R, R.numpy())": "second rotations: expected a tensor [..., 3, 3]",
    "rotation_distance(R, R[:2])": "first rotations and second rotations: expected as many of each, or one",
    "rotation_distance(R, t)": "second rotations: expected a tensor [..., 3, 3]",
    "rotation_angle(t)": "rotations: expected a tensor [..., 3, 3]",
    "axis_rotation('w', t)": "axis: expected x, y or z",
    "axis_rotation('x', 0.3)": "angle: expected a tensor [...]",
    "project_to_rotation(t)": "matrices: expected a tensor [..., 3, 3]",
    "project_to_rotation(R * float('nan'))": "matrices: expected finite numbers",
    "mean_rotation(R[0])": "rotations: expected several to take the mean of",
    "mean_rotation(R, torch.ones(3))": "weights: expected one for each rotation, [4]",
    "mean_rotation(R[:0])": "rotations: expected several to take the mean of",
    "random_rotations(-1)": "count: expected a whole number of at least 0",
    "random_rotations('a')": "count: expected a whole number of at least 0",
    "random_rotations(2, 5)": "generator: expected a torch.Generator",
    "left_jacobian(torch.zeros(2))": "rotation vectors: expected a tensor [..., 3]",
    "cross_matrix(torch.zeros(2))": "vectors: expected a tensor [..., 3]",
    "six_to_matrix(torch.zeros(5))": "six numbers of a rotation: expected a tensor [..., 6]",
    "six_to_matrix(np.zeros(6))": "six numbers of a rotation: expected a tensor [..., 6]",
    "EulerPoses(R)": "start: expected Poses",
    "TangentPoses(t)": "start: expected Poses",
    "SixDPoses(None)": "start: expected Poses",
    "DensityLayer(ref.density)": "start: expected a DensityMap",
    "DensityLayer(ref, 'cubic')": "interpolation: expected an interpolation such as CubicSpline(2)",
    "DensityLayer(ref)(R)": "poses: expected Poses",
    "DensityLayer(ref)(P[0])": "poses: expected poses in one row",
    "DensityLayer(ref).to(torch.half)(P)": "interpolation: expected the map in float32 or float64",
    "WedgeLayer(W[0], idx)": "weights: expected a tensor [weights, z, y, x // 2 + 1]",
    "WedgeLayer(W, idx + 9)": "weight_index: expected numbers from 0 to 0",
    "WedgeLayer(W, idx.float())": "weight_index: expected a tensor [particles] of whole numbers",
    "WedgeLayer(W.numpy(), idx)": "weights: expected a tensor [weights, z, y, x // 2 + 1]",
    "WedgeLayer(W, idx)(half[:, :5])": "spectra: expected a tensor [..., 16, 16, 9]",
    "WedgeLayer(W, idx)(half[:2])": "spectra: expected one for each of the layer's particles, [4, 16, 16, 9",
    "WedgeLayer.of(R)": "particles: expected a ParticleBatch",
    "WedgeLayer.single_axis((16, 16, 16), 60, -60, 4)": "tilt range: expected -90 <= tilt_min_deg < tilt_max_deg <= 90",
    "WedgeLayer.single_axis((16, 16, 16), -60, 60, -1)": "count: expected a whole number of at least 0",
    "WedgeLayer.single_axis(16, -60, 60, 4)": "box: expected a box of three numbers of voxels (z, y, x)",
    "CTF((16, 16, 16), 24.0, [-2.0])": "defocus_um: expected a tensor [particles]",
    "CTF((16, 16, 16), 24.0, -2.0)": "defocus_um: expected a tensor [particles]",
    "CTF((16, 16, 16), 0.0, torch.full((4,), -2.0))": "voxel_size: expected a number of angstrom above 0",
    "CTF((16, 16, 16), 24.0, torch.full((4, 1), -2.0))": "defocus_um: expected a tensor [particles]",
    "CTF((16, 16), 24.0, torch.full((4,), -2.0))": "box: expected a box of three numbers of voxels (z, y, x)",
    "CTF(16, 24.0, torch.full((4,), -2.0))": "box: expected a box of three numbers of voxels (z, y, x)",
    "CTF((16, 16, 16), 24.0, torch.full((4,), float('nan')))": "defocus_um: expected finite numbers of micrometres",
    "CTF((16, 16, 16), 24.0, torch.full((4,), 2))": "defocus_um: expected a tensor [particles] of real numbers",
    "CTF((16, 16, 16), 24.0, torch.full((4,), -2.0), microscope='titan')": "microscope: expected a Microscope",
    "CTF((16, 16, 16), 24.0, torch.full((4,), -2.0))(half[..., :5])": "spectra: expected a tensor [..., 16, 16, 9]",
    "CTF((16, 16, 16), 24.0, torch.full((4,), -2.0))(half[:2])": "spectra: expected one for each of the layer's particles, [4, 16, 16, 9",
    "WhiteNoise(0)": "white noise: expected a standard deviation above 0",
    "WhiteNoise('a')": "white noise: expected a standard deviation above 0",
    "WhiteNoise(float('nan'))": "white noise: expected a standard deviation above 0",
    "WhiteNoise(float('inf'))": "white noise: expected a standard deviation above 0",
    "WhiteNoise(1.0)(np.zeros((4, 4, 4)))": "volumes: expected a tensor [..., z, y, x]",
    "WhiteNoise(1.0)(half)": "volumes: expected a tensor [..., z, y, x] of real numbers",
    "ForwardModel(ref, TangentPoses(P), [], WhiteNoise(1.0))": "density: expected a DensityLayer",
    "ForwardModel(DensityLayer(ref), P, [], WhiteNoise(1.0))": "poses: expected a pose layer",
    "ForwardModel(DensityLayer(ref), TangentPoses(P), WedgeLayer.of(batch), WhiteNoise(1.0))": "transfers: expected a list of layers on half-spectra",
    "ForwardModel(DensityLayer(ref), TangentPoses(P), [W], WhiteNoise(1.0))": "transfers: expected layers such as WedgeLayer and CTF",
    "ForwardModel(DensityLayer(ref), TangentPoses(P), [], 1.0)": "noise: expected a WhiteNoise layer",
    "ForwardModel(DensityLayer(ref), TangentPoses(P[:2]), [WedgeLayer.of(batch)], WhiteNoise(1.0))()": "spectra: expected one for each of the layer's particles, [4, 16, 16, 9",
    "model.negative_log_likelihood(batch[:2])": "forward model: expected as many particles as poses",
    "model.negative_log_likelihood(half)": "particles: expected a ParticleBatch",
    "model.negative_log_likelihood(batch, [0, 1])": "forward model: expected as many particles as poses",
    "model.sample(generator=3)": "generator: expected a torch.Generator",
    "SubtomogramDataset(batch)": "particles: expected a ParticleSet",
    "SubtomogramDataset('particles.star')": "particles: expected a ParticleSet",
    "SubtomogramDataset(ParticleSet.from_arrays(batch.volumes, 24.0))['a']": "particles: expected a whole number, a slice, whole numbers or a mask",
    "SubtomogramDataset.collate([])": "particles: expected a list of what this data set hands out",
    "SubtomogramDataset.collate([3])": "particles: expected a list of what this data set hands out",
    "SimulatedParticles(ref, FastPipeline(snr=0.1), UniformPoses(3.0), batch_size=0)": "batch_size: expected a whole number of at least 1",
    "SimulatedParticles(ref.density, FastPipeline(snr=0.1), UniformPoses(3.0))": "reference: expected a DensityMap",
    "SimulatedParticles(ref, 'fast', UniformPoses(3.0))": "pipeline: expected a simulation such as FastPipeline(snr=0.1)",
    "SimulatedParticles(ref, FastPipeline(snr=0.1), 3.0)": "poses: expected a distribution of poses such as UniformPoses(3.0)",
    "SimulatedParticles(ref, FastPipeline(snr=0.1), UniformPoses(3.0), batch_size=2.5)": "batch_size: expected a whole number of at least 1",
    "SimulatedParticles(ref, FastPipeline(snr=0.1), UniformPoses(3.0), seed=-1)": "seed: expected a whole number of at least 0",
    "SimulatedParticles(ref, FastPipeline(snr=0.1), UniformPoses(3.0), seed='a')": "seed: expected a whole number of at least 0",
    "SimulatedParticles(ref, FastPipeline(snr=0.1), UniformPoses(3.0), batches=0)": "batches: expected a whole number of at least 1",
    "SimulatedParticles(ref, FastPipeline(snr=0.1), UniformPoses(3.0)).set_epoch(-1)": "epoch: expected a whole number of at least 0",
    "SimulatedParticles(ref, FastPipeline(snr=0.1), UniformPoses(3.0)).set_epoch('a')": "epoch: expected a whole number of at least 0",
    "ParticleBatch(half.numpy(), W, idx, batch.names, 24.0, batch.box)": "spectra: expected a tensor [particles, z, y, x // 2 + 1]",
    "ParticleBatch(half, W.numpy(), idx, batch.names, 24.0, batch.box)": "weights: expected a tensor [particles, z, y, x // 2 + 1]",
    "ParticleBatch(batch.volumes, W, idx, batch.names, 24.0, batch.box)": "particles: expected spectra as half-spectra [any, 16, 16, 9] of the bo",
    "ParticleBatch(half.abs(), W, idx, batch.names, 24.0, batch.box)": "spectra: expected a tensor [particles, z, y, x // 2 + 1] of complex nu",
    "ParticleBatch(half, W + 0j, idx, batch.names, 24.0, batch.box)": "weights: expected a tensor [particles, z, y, x // 2 + 1] of real numbe",
    "ParticleBatch(half, W, idx.float(), batch.names, 24.0, batch.box)": "weight_index: expected a tensor [particles] of whole numbers",
    "ParticleBatch(half, W, idx[:2], batch.names, 24.0, batch.box)": "particles: expected 4 weight_index, one for each particle",
    "ParticleBatch(half, W, idx.tolist(), batch.names, 24.0, batch.box)": "weight_index: expected a tensor [particles]",
    "ParticleBatch(half, W, idx, list(batch.names), 24.0, batch.box)": "names: expected a tuple of one name for each particle",
    "ParticleBatch(half, W, idx, None, 24.0, batch.box)": "names: expected a tuple of one name for each particle",
    "ParticleBatch(half, W, idx, batch.names, None, batch.box)": "particles: expected a voxel size of angstrom above 0",
    "ParticleBatch(half, W, idx, batch.names, '24', batch.box)": "particles: expected a voxel size of angstrom above 0",
    "ParticleBatch(half, W, idx, batch.names, float('inf'), batch.box)": "particles: expected a voxel size of angstrom above 0",
    "ParticleBatch(half, W, idx, batch.names, 24.0, 16)": "particles: expected a box of three numbers of voxels (z, y, x)",
    "ParticleBatch(half, W, idx, batch.names, 24.0, (16, 16))": "particles: expected a box of three numbers of voxels (z, y, x)",
    "ParticleBatch(half, W, idx, batch.names, 24.0, batch.box, R)": "poses: expected Poses",
    "ParticleBatch(half, W, idx, batch.names, 24.0, batch.box, Poses(R[None], t[None]))": "particles: expected 4 poses, one for each particle",
    "ParticleBatch(half[0], W, idx, batch.names, 24.0, batch.box)": "particles: expected spectra as half-spectra [any, 16, 16, 9] of the bo",
    "ParticleBatch.from_volumes(batch.volumes[0], W, idx, batch.names, 24.0)": "volumes: expected a tensor [particles, z, y, x]",
    "ParticleBatch.from_volumes(batch.volumes.numpy(), W, idx, batch.names, 24.0)": "volumes: expected a tensor [particles, z, y, x]",
    "ParticleBatch.from_volumes(batch.volumes.long(), W, idx, batch.names, 24.0)": "volumes: expected a tensor [particles, z, y, x] of real numbers",
    "batch['a']": "particles: expected a whole number, a slice, whole numbers or a mask",
    "batch[1.5]": "particles: expected a whole number, a slice, whole numbers or a mask",
    "batch[[True, False]]": "particles: expected a mask of 4 truth values",
    "batch.masked(torch.ones(5, 5, 5))": "mask: expected a tensor [..., 16, 16, 16]",
    "batch.masked(np.ones((16, 16, 16)))": "mask: expected a tensor [..., 16, 16, 16]",
    "batch.recentred(torch.zeros(2, 3))": "shifts: expected a tensor [4, 3]",
    "batch.recentred(torch.zeros(4, 2))": "shifts: expected a tensor [4, 3]",
    "batch.recentred(np.zeros((4, 3)))": "shifts: expected a tensor [4, 3]",
    "batch.to('gpu')": "particles: expected a device such as cpu or cuda:0, a precision such a",
    "batch.to(torch.half)": "particles: expected float32 or float64",
    "batch.to(3)": "particles: expected one of the 0 GPUs that torch finds",
    "batch.to('cuda')": "particles: expected one of the 0 GPUs that torch finds",
    "ParticleBatch.concatenate([])": "parts: expected a list of at least one batch of particles",
    "ParticleBatch.concatenate([batch, R])": "parts: expected a ParticleBatch",
    "ParticleBatch.concatenate(batch)": "parts: expected a list of at least one batch of particles",
    "place(interp, R, ref.box)": "poses: expected Poses",
    "place(interp, P, 16)": "box: expected a box of three numbers of voxels (z, y, x)",
    "place(interp, P, (16, 16))": "box: expected a box of three numbers of voxels (z, y, x)",
    "place(interp, P, (0, 16, 16))": "box: expected a box of three numbers of voxels (z, y, x)",
    "place(ref.density, P, ref.box)": "reference: expected an interpolant",
    "place(interp, P[0], ref.box)": "poses: expected poses in one row",
    "CubicSpline(2).prepare(ref.density.numpy())": "interpolation: expected one map, a tensor with axes z, y, x",
    "CubicSpline(2).prepare(ref)": "interpolation: expected one map, a tensor with axes z, y, x",
    "CubicSpline(2).prepare(torch.zeros(4, 4))": "interpolation: expected one map, a tensor with axes z, y, x",
    "CubicSpline(0)": "oversampling: expected a whole number of at least 1",
    "CubicSpline(2.5)": "oversampling: expected a whole number of at least 1",
    "Trilinear(2).prepare(ref.density.numpy())": "interpolation: expected one map, a tensor with axes z, y, x",
    "Trilinear('a')": "oversampling: expected a whole number of at least 1",
    "interp(np.zeros((4, 3)))": "interpolation: expected points, a tensor [..., 3]",
    "interp(torch.zeros(4, 2))": "interpolation: expected points, a tensor [..., 3]",
    "to_half_spectrum(batch.volumes.numpy())": "volumes: expected a tensor [..., z, y, x]",
    "to_half_spectrum(torch.zeros(4))": "volumes: expected a tensor [..., z, y, x]",
    "to_half_spectrum(half)": "volumes: expected a tensor [..., z, y, x] of real numbers",
    "from_half_spectrum(half, 16)": "box: expected a box of three numbers of voxels (z, y, x)",
    "from_half_spectrum(half, (16, 16))": "box: expected a box of three numbers of voxels (z, y, x)",
    "from_half_spectrum(half, (18, 16, 16))": "half-spectra: expected a tensor [..., 18, 16, 9]",
    "from_half_spectrum(batch.volumes, (16, 16, 16))": "half-spectra: expected a tensor [..., 16, 16, 9] of complex numbers",
    "half_weight(np.ones((4, 4, 4)))": "weights: expected a tensor [..., z, y, x]",
    "half_weight(torch.ones(4))": "weights: expected a tensor [..., z, y, x]",
    "SAG([x], num_terms=1)": "SAG needs a loss that is a sum of at least 2 terms",
    "SAG([x], num_terms='a')": "SAG: expected num_terms to be a whole number",
    "SAG([x], num_terms=2.0)": "SAG: expected num_terms to be a whole number",
    "SAG([x], lr=-1, num_terms=2)": "SAG: expected lr of a parameter group to be a number of at least 0",
    "SAG([x], lr='a', num_terms=2)": "SAG: expected lr of a parameter group to be a number of at least 0",
    "SAG([x], lr=float('nan'), num_terms=2)": "SAG: expected lr of a parameter group to be a number of at least 0",
    "SAG([x], lipschitz=0, num_terms=2)": "start_lipschitz must be positive and finite",
    "SAG([x], lipschitz='a', num_terms=2)": "start_lipschitz must be positive and finite",
    "SAG([x], scale=0, num_terms=2)": "SAG: the scale of a parameter group must be positive",
    "SAG([x], scale='a', num_terms=2)": "SAG: expected scale of a parameter group to be a number of at least 0",
    "SAG([x], weight_decay=-1, num_terms=2)": "SAG: expected weight_decay of a parameter group to be a number of at l",
    "SAG([x], maximize='a', num_terms=2)": "SAG: expected maximize to be True or False",
    "SAG([{'params': [x], 'num_terms': 3}], num_terms=2)": "SAG: expected one num_terms for all parameter groups (2)",
    "opt(lr=0.1).step()": "SAG: expected to be told which term of the loss this step visits, by s",
    "opt(lr=0.1).step(3)": "SAG: expected a closure that evaluates the loss",
    "opt().step()": "SAG: without lr the step size comes from a line search, which evaluate",
    "opt(lr=0.1).set_term(5)": "SAG: expected a term between 0 and 1",
    "opt(lr=0.1).set_term(None)": "SAG: expected a term between 0 and 1",
    "opt(lr=0.1).set_term('a')": "SAG: expected a term between 0 and 1",
    "opt(lr=0.1).set_term(0.5)": "SAG: expected a term between 0 and 1",
    "opt(lr=0.1).set_term(torch.tensor([0, 1]))": "SAG: expected a term between 0 and 1",
    "opt().step(lambda: 'a', 0)": "SAG: expected the closure to return the loss, a number, or loss and term",
    "opt().load_state_dict({})": "SAG: expected what state_dict() gave, with state and param_groups",
    "opt().load_state_dict(3)": "SAG: expected what state_dict() gave, with state and param_groups",
    "opt().load_state_dict(torch.optim.SGD([x], 0.1).state_dict())": "SAG: expected the state of a sum of 2 terms",
    "opt().add_param_group(3)": "SAG: param_group: expected a dictionary with params and their settings",
    "TorchOptimizer(name='torch.nn.Linear')": "name must be an optimizer of torch.optim such as torch.optim.Adam",
    "TorchOptimizer(name='Adam')": "name must be an optimizer of torch.optim such as torch.optim.Adam",
    "TorchOptimizer(name=3)": "name must be an optimizer of torch.optim such as torch.optim.Adam",
    "TorchOptimizer(arguments={'lrr': 1}).init(torch.zeros(1, 6), 3)": "torch.optim.Adam does not accept the arguments {'lrr': 1}: Adam.__init",
    "TorchOptimizer(batch_fraction=2)": "batch_fraction must be above 0 and at most 1",
    "TorchOptimizer(batch_fraction='a')": "batch_fraction must be above 0 and at most 1",
    "CurvatureSAG(batch_fraction=0)": "batch_fraction must be above 0 and at most 1",
    "CurvatureSAG(tolerance='a')": "tolerance must be at least 0 (in the units of the move)",
    "CurvatureSAG(seed='a')": "seed: expected a whole number of at least 0",
    "SAGMinibatch(batch_fraction=None)": "batch_fraction must be above 0 and at most 1",
    "SAGA(start_lipschitz='a')": "start_lipschitz must be positive and finite",
    "SVRG(tolerance=-1)": "tolerance must be at least 0 (in the units of the move)",
    "SAGOneTerm(start_lipschitz=-1)": "start_lipschitz must be positive and finite",
    "LengthScaling(0)": "length must be positive and finite (voxels)",
    "LengthScaling('a')": "length must be positive and finite (voxels)",
    "Whitening(-1)": "damping must be positive",
    "Whitening('a')": "damping must be positive",
    "LevenbergMarquardt(tolerance=-1)": "tolerance must be at least 0 (in the units of the move)",
    "minimize(CurvatureSAG(), None, torch.zeros(1, 6), 3)": "objective: expected an object with the methods of torchsag.optim.Objec",
    "minimize(CurvatureSAG(), None, torch.zeros(1, 6), 'a')": "objective: expected an object with the methods of torchsag.optim.Objec",
    "minimize(None, None, torch.zeros(1, 6), 1)": "optimizer: expected an object with the methods of torchsag.optim.Optim",
    "Symmetry('Q')": "symmetry: expected C1, Cn, Dn, T, O or I with n >= 1",
    "Symmetry(3)": "symmetry: expected C1, Cn, Dn, T, O or I with n >= 1",
    "Symmetry('C0')": "symmetry: expected C1, Cn, Dn, T, O or I with n >= 1",
    "Symmetry('D7').distance(R, R[:2])": "first rotations and second rotations: expected as many of each, or one",
    "implicit_poses(ref, batch, R)": "poses: expected Poses",
    "implicit_poses(ref.density, batch, truth)": "reference: expected a DensityMap",
    "implicit_poses(ref, batch, truth[:2])": "implicit poses: expected a reference in the particles' box and a pose ",
    "implicit_poses(ref, half, truth)": "particles: expected a ParticleBatch",
    "CurvatureSAGAligner().prepare(ref.density, Symmetry('C1'))": "reference: expected a DensityMap",
    "CurvatureSAGAligner().prepare(ref, 'C1')": "symmetry: expected a Symmetry such as Symmetry('C1')",
    "CurvatureSAGAligner().prepare(ref, Symmetry('C1'), 'gpu')": "device: expected cpu, cuda or cuda:1",
    "CurvatureSAGAligner().prepare(ref, Symmetry('C1'))(half)": "particles: expected a ParticleBatch",
    "CurvatureSAGAligner().prepare(ref, Symmetry('C1'))(batch.volumes)": "particles: expected a ParticleBatch",
    "simulate_particles(ref, 0, 1.0)": "count: expected a whole number of at least 1",
    "simulate_particles(ref, 2, -1.0)": "snr: expected a number above 0 (infinity for no noise)",
    "simulate_particles(ref.density, 2, 1.0)": "reference: expected a DensityMap",
    "density_of('ribosome', 16, 24.0, 60.0)": "model: expected a PointModel such as ribosome_phantom()",
    "density_of(ribosome_phantom(), 0, 24.0, 60.0)": "box: expected a whole number of at least 1",
    "density_of(ribosome_phantom(), 16, -24.0, 60.0)": "voxel_size: expected a number of angstrom above 0",
}

SCRIPT = """
import json, sys
import numpy as np, torch, math
from torch.utils.data import DataLoader
from torchsag import *
from torchsag import InputError
from torchsag.geometry.rotations import *
from torchsag.geometry.rotations import axis_rotation, matrix_to_rotvec, project_to_rotation, mean_rotation, rotation_angle, left_jacobian, cross_matrix
from torchsag.geometry import *
from torchsag.nn import *
from torchsag.optim import *
from torchsag.imaging.sampling import place
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.trilinear import Trilinear
from torchsag.fourier import *
from torchsag.simulation import FastPipeline, UniformPoses, density_of, ribosome_phantom, simulate_particles
from torchsag.alignment.implicit_poses import implicit_poses
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
R=random_rotations(4); t=torch.zeros(4,3)
P=Poses(R,t)
ref=density_of(ribosome_phantom(),16,24.0,60.0)
batch,truth=simulate_particles(ref,4,1.0,seed=0)
interp=CubicSpline(2).prepare(ref.density)
half=to_half_spectrum(batch.volumes)
W=batch.weights
idx=batch.weight_index
x=torch.zeros(2,requires_grad=True)
model=ForwardModel(DensityLayer(ref),TangentPoses(truth),[WedgeLayer.of(batch)],WhiteNoise(1.0))
def opt(**k): return SAG([torch.zeros(2,requires_grad=True)],num_terms=2,**k)
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
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        input=json.dumps(list(CALLS)),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path_factory.mktemp("calls"),
    )
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("call", CALLS)
def test_what_does_not_fit_is_one_sentence_that_names_it(answers, call):
    answer = answers[call]
    assert answer.startswith("InputError: "), answer
    assert CALLS[call] in answer
    assert "\n" not in answer
