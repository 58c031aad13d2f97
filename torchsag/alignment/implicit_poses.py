"""Poses as functions of the reference they were found with, by the implicit function theorem.

A search and an optimizer cannot be differentiated, but what they find can: at the optimum the gradient F of the
log-likelihood by the pose vanishes, so that ``F(beta(G), G) = 0`` for every reference G near by and

    d beta / d G = -(dF / d beta)^-1 dF / dG.

The likelihood is that of the default method's last band (`torchsag.alignment.curvature_sag`): amplitude at its best,
noise by shell as the residuals at the pose have it, so that F depends on G through the noise, too. Whichever method
found the poses, a few Newton steps bring them to the optimum first; they move by a part of their uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.geometry.poses import require_poses
from torchsag.imaging.reference import isolated
from torchsag.likelihood.fisher import log_likelihood_gradient
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.information import shell_of_information
from torchsag.likelihood.noise_spectrum import residual_spectrum, whitened
from torchsag.likelihood.observations import Observations, observe
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.requirements import require_kind
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

_NEWTON_STEPS = 8
_ARRIVED = 1e-7  # largest entry of the last Newton step, radians or voxels
_FARTHEST = 0.5  # radians or voxels from the given pose; beyond, it was another optimum's


def implicit_poses(
    reference: DensityMap,
    particles: ParticleBatch,
    poses: Poses,
    max_shell: int | None = None,
    noise: Float[Tensor, "particles shells"] | None = None,
) -> Poses:
    """The optimal poses next to given ones, in double precision, differentiable in reference and particles.

    Once: the theorem's second derivatives are others than those of this formula, and are refused.

    Parameters
    ----------
    reference
        Whose density may require gradients; cubic, in the particles' box.
    particles
        Whose spectra may require gradients.
    poses
        Close to an optimum, one per particle: those of an `torchsag.alignment.aligner.AlignmentResult`.
    max_shell
        Last Fourier shell; by default where 99 % of the pose information lies (`last_shell`), as in the default method.
    noise
        Variance by shell 1 .. max_shell where it is known; by default what the model leaves over.

    Raises
    ------
    InputError
        If a pose is not next to an optimum of this likelihood.
    """
    require_kind("reference", reference, DensityMap, "a DensityMap", "DensityMap(density, voxel_size) makes one")
    require_kind("particles", particles, ParticleBatch, "a ParticleBatch")
    require_poses("poses", poses)
    if particles.box != reference.box or len(particles) != len(poses):
        raise InputError(
            f"implicit poses: expected a reference in the particles' box and a pose for each, got boxes "
            f"{reference.box} and {particles.box}, {len(particles)} particles and {len(poses)} poses"
        )
    shell = last_shell(reference) if max_shell is None else max_shell
    reference = replace(reference, density=_Once.apply(reference.density))
    particles = replace(particles, spectra=_Once.apply(particles.spectra))
    likelihood = _Likelihood.of(reference, particles, shell, noise)
    found = likelihood.constant.optimum(poses.to(torch.float64))
    # Worth zero at the optimum; its derivative is the theorem's.
    return found.retract(-torch.linalg.solve(likelihood.constant.curvature(found), likelihood.slope(found)))


def last_shell(reference: DensityMap) -> int:
    """Where 99 % of a reference's pose information lies."""
    return shell_of_information(isolated(reference.density.detach().float()), 0.99)


class _Once(torch.autograd.Function):
    """What comes through here can be differentiated once."""

    @staticmethod
    def forward(ctx, given: Tensor) -> Tensor:
        return given.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        return upstream[0]


@dataclass(frozen=True)
class _Likelihood:
    """Of the poses of some particles, in double precision and plain tensors."""

    table: FourierTable
    band: FourierBand
    observed: Observations
    shell_band: FourierBand
    by_shell: Observations
    noise: Tensor | None

    @staticmethod
    def of(reference: DensityMap, particles: ParticleBatch, shell: int, noise: Tensor | None) -> _Likelihood:
        box, device = reference.box[0], reference.density.device
        band, shell_band = FourierBand.of(box, shell, device=device), FourierBand.by_shell(box, shell, device)
        table = FourierTable.from_density(isolated(reference.density.double()), shell)
        observed, by_shell = (_double(observe(particles, one)) for one in (band, shell_band))
        return _Likelihood(table, band, observed, shell_band, by_shell, None if noise is None else noise.double())

    @property
    def constant(self) -> _Likelihood:
        """The same without a memory of what it was made from."""
        table = replace(self.table, samples=self.table.samples.detach())
        return replace(self, table=table, observed=_detached(self.observed), by_shell=_detached(self.by_shell))

    def slope(self, poses: Poses) -> Float[Tensor, "poses 6"]:
        """F: the gradient by the tangent move at the poses, differentiable in everything."""
        everyone = torch.arange(len(poses), device=poses.shifts.device)
        noise = self.noise
        if noise is None:
            noise = residual_spectrum(self.by_shell, self.shell_band, self.table, poses, everyone)
        observed = whitened(self.observed, self.band, noise)
        sums = block_sums(self.table, self.band, observed, poses, everyone, torch.arange(self.band.num_blocks))
        return log_likelihood_gradient(sums, poses.shifts.new_ones(len(poses)))

    def curvature(self, poses: Poses) -> Float[Tensor, "poses 6 6"]:
        """``dF / d move``."""
        with torch.enable_grad():
            move = poses.shifts.new_zeros(len(poses), 6).requires_grad_()
            slope = self.slope(poses.retract(move))
            # Each particle's slope depends on its own move alone.
            rows = [torch.autograd.grad(slope[:, i].sum(), move, retain_graph=i < 5)[0] for i in range(6)]
        return torch.stack(rows, 1)

    @torch.no_grad()
    def optimum(self, start: Poses) -> Poses:
        """Where Newton's method leads from next to an optimum."""
        poses, step = start, start.shifts.new_zeros(len(start), 6)
        for _ in range(_NEWTON_STEPS):
            curvature = self.curvature(poses)
            _check_optimum(curvature)
            step = -torch.linalg.solve(curvature, self.slope(poses))
            poses = poses.retract(step)
            if float(step.abs().max()) < _ARRIVED:
                break
        far = start.move_to(poses).abs().amax(1)
        lost = (~(far < _FARTHEST) | (step.abs().amax(1) > 1e3 * _ARRIVED)).nonzero()[:, 0]
        if len(lost):
            raise InputError(
                f"implicit poses: expected poses next to an optimum, but particle {int(lost[0])} moved by "
                f"{float(far[lost[0]]):.2g} (radians or voxels) and did not settle; align it first, or leave it out"
            )
        return poses


def _check_optimum(curvature: Tensor) -> None:
    """The log-likelihood must bend downwards along every direction."""
    finite = curvature.isfinite().flatten(1).all(1)
    symmetric = torch.where(finite[:, None, None], 0.5 * (curvature + curvature.mT), torch.eye(6).to(curvature))
    highest = torch.linalg.eigvalsh(symmetric)[:, -1]
    if not bool((highest < 0).all()):
        raise InputError(
            f"implicit poses: expected poses at an optimum, but the likelihood of particle {int(highest.argmax())} "
            "does not fall off along every direction; align it first, or leave it out"
        )


def _double(observed: Observations) -> Observations:
    real = {name: getattr(observed, name).double() for name in ("weights", "power", "support")}
    return replace(observed, data=observed.data.to(torch.complex128), **real)


def _detached(observed: Observations) -> Observations:
    names = ("data", "weights", "power", "support")
    return replace(observed, **{name: getattr(observed, name).detach() for name in names})
