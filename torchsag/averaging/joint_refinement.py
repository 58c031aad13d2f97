"""Poses and map of one half as one differentiable objective, minimised by SAG over particles.

Alternating refinement holds the map while it moves the poses and the poses while it makes the map. Here both move at
once: with Y the particles, W their weights and V the map,

``J(V, poses) = 1/P sum_p 1/2 sum_k |Y_p(k) - W_p(k) exp(-2 pi i k.t / n) V(R^T k)|^2 / s^2(|k|)  +  prior(V)``

is a sum over particles. Each step visits one particle; automatic differentiation gives the gradient with respect to its
pose and to the map through the interpolation, and `torchsag.optim.SAG` remembers one map gradient for each
particle. Both kinds of unknowns are whitened by their curvature at the start (the sum of squared weights of each map
coefficient, the Fisher matrix of each pose), so that one step size serves both.

The map of a joint optimum has seen the noise of every particle that is aligned to it, as that of alternating
refinement without leaving out (`torchsag.workflows.average.leave_out`): it is meant for poses that are nearly right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.averaging.reconstruct import MapSums
from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, last_above, to_half_spectrum
from torchsag.geometry import Poses, Symmetry
from torchsag.optim import SAG
from torchsag.particles import ParticleBatch
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.gather import gather_torch
from torchsag.spectra.kaiser_bessel import compensate
from torchsag.spectra.tables import Sphere, padded_table

_MARGIN = 2
# Squared, a sixteenth of the step 1 / L that suits the poses: remembered map gradients belong to poses that have moved
# on since. It is the step for which SAG is proven to converge (Schmidt, Le Roux & Bach 2017, Math. Program. 162:83).
_MAP_STEP = 0.25
_STEPS = (1e-3, 1e-3, 1e-3, 1e-2, 1e-2, 1e-2)  # of the differences that give the Fisher matrix: radians, voxels


@runtime_checkable
class Polish(Protocol):
    """The last step of an average, for each half by itself: a frozen dataclass, one yaml under ``conf/polish``."""

    def __call__(
        self, particles: ParticleBatch, poses: Poses, symmetry: Symmetry, trust: Float[Tensor, " shells"]
    ) -> Poses:
        """Better poses of all particles of one half; see `JointRefinement`."""
        ...


@dataclass(frozen=True)
class JointRefinement:
    """Refine poses together with the map that they make.

    Attributes
    ----------
    passes
        Visits to each particle.
    seed
        Of the order of the visits.
    """

    passes: int = 5
    seed: int = 0

    def __post_init__(self):
        if self.passes < 1:
            raise InputError(f"passes: expected at least 1, got {self.passes}")

    def __call__(
        self, particles: ParticleBatch, poses: Poses, symmetry: Symmetry, trust: Float[Tensor, " shells"]
    ) -> Poses:
        """Better poses of the particles of one half.

        Parameters
        ----------
        particles
            All of the half, in memory: some 100 kB each, and as much again for each symmetry mate.
        poses
            Nearly right.
        symmetry
            Of the map.
        trust
            Of each Fourier shell: the FSC up to where it means something, zero beyond. It sets band and prior.
        """
        problem = _Problem.around(particles, poses, symmetry, trust)
        map_move = torch.zeros(*problem.start.shape, 2, requires_grad=True)
        moves = [torch.zeros(6, requires_grad=True) for _ in range(len(poses))]
        terms = len(poses) * symmetry.order
        groups = [{"params": [map_move], "scale": _MAP_STEP}, {"params": moves}]
        optimizer = SAG(groups, num_terms=max(terms, 2))
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.passes):
            for term in torch.randperm(terms, generator=generator).tolist():
                particle, mate = term % len(poses), term // len(poses)

                def loss(particle: int = particle, mate: int = mate) -> Tensor:
                    optimizer.zero_grad(set_to_none=True)
                    value = problem.term(map_move, moves[particle], particle, mate)
                    value.backward()
                    return value

                optimizer.step(loss, term)
        with torch.no_grad():
            return poses.retract(torch.stack([problem.to_move(m, p) for p, m in enumerate(moves)]))


@dataclass(frozen=True)
class _Problem:
    """Data, start and whitening.

    `start` is the map at the start on the sphere of coefficients, `map_scale` and `pose_scale` turn whitened unknowns
    into coefficients and tangent moves; `data` and `weights` are in units of the noise of their shell.
    """

    data: Complex[Tensor, "particles coefficients"]
    weights: Float[Tensor, "particles coefficients"]
    band: FourierBand
    poses: Poses
    mates: Float[Tensor, "mates 3 3"]
    start: Complex[Tensor, " points"]
    map_scale: Float[Tensor, " points"]
    prior: Float[Tensor, " points"]
    pose_scale: Float[Tensor, "particles 6 6"]
    sphere: Sphere
    small: int

    @staticmethod
    def around(particles: ParticleBatch, poses: Poses, symmetry: Symmetry, trust: Float[Tensor, " shells"]) -> _Problem:
        """Everything at the poses given."""
        n = particles.box[0]
        last = min(last_above(trust), (n - 1) // 2)
        band = FourierBand.of(n, last)
        # The map goes a little further than the data that are compared: interpolation looks at its neighbours.
        reach = min(last + _MARGIN, (n - 1) // 2)
        sums = MapSums.empty(particles.box, particles.voxel_size, last_shell=reach)
        sums.add(particles, poses)
        sums = sums.symmetrised(symmetry)
        shells = sums.sphere.index.norm(dim=-1).round().long()
        floor = 1e-2 * sums.denominator.mean()
        snr = (trust / (1 - trust).clamp_min(1e-3)).clamp_min(1e-3)[: reach + 1].double()
        snr[last + 1 :] = snr[last]
        mean = torch.bincount(shells, sums.denominator[0]) / torch.bincount(shells)
        tau = (mean / snr)[shells]
        denominator = sums.denominator[0].clamp_min(float(floor)) + tau
        small = 2 * (reach + 1)
        sphere = Sphere.up_to(small, reach)
        start = (sums.numerator[0] / denominator).to(torch.complex64)
        terms = len(particles) * symmetry.order
        problem = _Problem(
            data=band.take(particles.spectra),
            weights=band.take(particles.weights)[particles.weight_index],
            band=band,
            poses=poses,
            mates=symmetry.rotations.float(),
            start=start,
            map_scale=torch.ones(len(start)),
            prior=torch.zeros(len(start)),
            pose_scale=torch.eye(6).repeat(len(poses), 1, 1),
            sphere=sphere,
            small=small,
        )
        noise = problem._noise()
        problem = replace(problem, data=problem.data / noise[band.shells], weights=problem.weights / noise[band.shells])
        # In those units a coefficient's curvature is its denominator by the noise variance; half the coefficients of
        # the band stand for all, hence no factor of two.
        variance = noise[shells.clamp(1, last)].square()
        problem = replace(
            problem,
            map_scale=(denominator.float() / terms / variance).rsqrt(),
            prior=tau.float() / terms / variance,
        )
        return replace(problem, pose_scale=torch.stack([problem._pose_scale(p) for p in range(len(poses))]))

    def term(self, map_move: Tensor, move: Tensor, particle: int, mate: int) -> Tensor:
        """The objective's part that one particle at one of its equivalent poses gives."""
        coefficients = self.start + torch.view_as_complex(map_move) * self.map_scale
        pose = self.poses[particle : particle + 1].retract(self.to_move(move, particle)[None])
        model = self._model(self._table(coefficients), pose, particle, mate)
        misfit = 0.5 * (self.data[particle] - model).abs().square().sum()
        return misfit + 0.5 * (self.prior * coefficients.abs().square()).sum()

    def to_move(self, whitened: Float[Tensor, " dof"], particle: int) -> Float[Tensor, " dof"]:
        """Tangent move of a pose."""
        return self.pose_scale[particle] @ whitened

    def _table(self, coefficients: Complex[Tensor, " points"]) -> Complex[Tensor, "1 pz py px"]:
        """What the map's transform is read from, in a box no larger than its resolution needs."""
        m = self.small
        half = torch.zeros(m * m * (m // 2 + 1), dtype=torch.complex64)
        half = half.index_put((self.sphere.flat,), coefficients).unflatten(0, (m, m, m // 2 + 1))
        density = from_half_spectrum(half, (m, m, m))
        return padded_table(to_half_spectrum(compensate(density)), m)[None]

    def _model(self, table: Tensor, pose: Poses, particle: int, mate: int) -> Complex[Tensor, " coefficients"]:
        frequencies = self.band.frequencies.float()
        back = (pose.rotations @ self.mates[mate]).mT
        ones, zero, still = torch.ones_like(table.real), torch.zeros(1, dtype=torch.long), torch.zeros(1, 3)
        value, _ = gather_torch(table, ones, zero, back, still, frequencies, self.small)
        phase = -2 * math.pi / self.band.box * (frequencies @ pose.shifts[0])
        return self.weights[particle] * torch.polar(torch.ones_like(phase), phase) * value[0]

    def _noise(self) -> Float[Tensor, " shells"]:
        """Standard deviation by shell of what the start leaves over, over all particles."""
        table, shells = self._table(self.start), self.band.shells
        power, count = torch.zeros(self.band.max_shell + 1), torch.zeros(self.band.max_shell + 1)
        for p in range(len(self.poses)):
            rest = (self.data[p] - self._model(table, self.poses[p : p + 1], p, 0)).abs().square()
            measured = self.weights[p] > 0
            power.index_add_(0, shells[measured], rest[measured])
            count.index_add_(0, shells[measured], measured[measured].float())
        # Real and imaginary part share the variance.
        return (0.5 * power / count.clamp_min(1)).sqrt().clamp_min(1e-20)

    def _pose_scale(self, particle: int) -> Float[Tensor, "6 6"]:
        """Inverse square root of the Fisher matrix."""
        table, pose = self._table(self.start), self.poses[particle : particle + 1]
        here = self._model(table, pose, particle, 0)
        steps = torch.diag(torch.tensor(_STEPS))
        moved = [self._model(table, pose.retract(step[None]), particle, 0) for step in steps]
        slopes = torch.stack([(there - here) / size for there, size in zip(moved, _STEPS, strict=True)])
        fisher = torch.einsum("ik,jk->ij", slopes.conj(), slopes).real.double()
        fisher = fisher + 1e-6 * torch.diag(fisher.diagonal())
        return torch.linalg.inv(torch.linalg.cholesky(fisher)).mT.float()
