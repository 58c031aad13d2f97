"""The sums over Fourier blocks from which every Fourier-space score and its derivatives follow.

For a particle with weighted data ``D = W Y`` and squared weight ``w = W^2``, a model
``m = G(R^T k) exp(-2 pi i k.t / n)`` and its derivatives ``m_a`` by the six tangent degrees of freedom, each block b
sums over its coefficients

    cross = Re sum conj(m) D        cross_a = Re sum conj(m_a) D
    energy = sum w |m|^2            energy_a = Re sum w conj(m) m_a        gram_ab = Re sum w conj(m_a) m_b

Nothing else of the particle is needed: the least-squares distance, the correlation, the amplitude, their gradients and
Gauss-Newton blocks, the Fisher matrix and the pose covariance are all algebra on these 35 numbers.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache

import numba
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.likelihood.fourier_kernel import fused_block_sums
from torchsag.likelihood.observations import Observations
from torchsag.likelihood.sizes import SUMS, stretch_limit
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

_log = logging.getLogger(__name__)

# Sums per pose and block: cross, energy, cross_a (6), energy_a (6), gram upper triangle (21).


@dataclass(frozen=True)
class BlockSums:
    """The sums of this module's formulas; `*_a` along the tangent's six degrees of freedom."""

    cross: Float[Tensor, "poses terms"]
    energy: Float[Tensor, "poses terms"]
    cross_gradient: Float[Tensor, "poses terms 6"]
    energy_gradient: Float[Tensor, "poses terms 6"]
    gram: Float[Tensor, "poses terms 6 6"]

    @property
    def matched_filter(self) -> Float[Tensor, "poses terms"]:
        """``cross / sqrt(energy)``: half its square over the noise variance is the gain in log-likelihood."""
        return self.cross * self._divisor.rsqrt()

    @property
    def amplitude(self) -> Float[Tensor, "poses terms"]:
        """``cross / energy``, the least-squares amplitude of the model."""
        return self.cross / self._divisor

    @property
    def _divisor(self) -> Float[Tensor, "poses terms"]:
        return self.energy.clamp_min(torch.finfo(self.energy.dtype).tiny)

    def __getitem__(self, rows: Tensor) -> BlockSums:
        """Those of some poses."""
        return BlockSums(
            self.cross[rows],
            self.energy[rows],
            self.cross_gradient[rows],
            self.energy_gradient[rows],
            self.gram[rows],
        )

    def total(self) -> BlockSums:
        """All terms added into one."""
        return BlockSums(
            self.cross.sum(1, keepdim=True),
            self.energy.sum(1, keepdim=True),
            self.cross_gradient.sum(1, keepdim=True),
            self.energy_gradient.sum(1, keepdim=True),
            self.gram.sum(1, keepdim=True),
        )


def block_sums(
    table: FourierTable,
    band: FourierBand,
    observed: Observations,
    poses: Poses,
    particle: Integer[Tensor, " poses"],
    terms: Integer[Tensor, " terms"],
) -> BlockSums:
    """Evaluate the sums of this module for each pose (of particle ``particle[q]``) and each requested block."""
    return _to_tangent(_raw_sums(table, band, observed, poses, particle, terms), poses.rotations)


def total_sums(
    table: FourierTable,
    band: FourierBand,
    observed: Observations,
    poses: Poses,
    particle: Integer[Tensor, " poses"],
    terms: Integer[Tensor, " terms"],
    order: int = 2,
) -> BlockSums:
    """`block_sums` added into one term before it is turned, which is less work.

    Of order 0 without derivatives, of order 1 without Gauss-Newton blocks: what is left out is NaN.
    """
    raw = _raw_sums(table, band, observed, poses, particle, terms, order).sum(1, keepdim=True)
    unknown = raw.new_full((*raw.shape[:2], SUMS[-1] - raw.shape[-1]), torch.nan)
    return _to_tangent(torch.cat([raw, unknown], -1), poses.rotations)


def _raw_sums(
    table: FourierTable,
    band: FourierBand,
    observed: Observations,
    poses: Poses,
    particle: Tensor,
    terms: Tensor,
    order: int = 2,
) -> Float[Tensor, "poses terms sums"]:
    if table.samples.device.type == "cpu" and table.samples.dtype == torch.float32 and _can_compile():
        return fused_block_sums(table, band, observed, poses, particle, terms, order)
    if table.samples.device.type == "cuda" and table.samples.dtype == torch.float32 and _can_use_triton():
        from torchsag.likelihood.fourier_triton import triton_block_sums  # not everywhere is there a Triton

        return triton_block_sums(table, band, observed, poses, particle, terms, order)
    return reference_block_sums(table, band, observed, poses, particle, terms)[..., : SUMS[order]]


@lru_cache(maxsize=1)
def _can_compile() -> bool:
    """Whether numba may compile here; asked once, so that the log says once that it may not."""
    if numba.config.DISABLE_JIT:  # pyright: ignore[reportAttributeAccessIssue]
        _log.warning("numba's compiler is switched off (NUMBA_DISABLE_JIT): alignment is correct but far slower")
        return False
    return True


@lru_cache(maxsize=1)
def _can_use_triton() -> bool:
    """Whether Triton may compile for the GPU here; it needs a C compiler and Python's headers as well. Asked once."""
    try:
        import triton

        target = triton.runtime.driver.active.get_current_target()
    except Exception as error:  # of whatever kind: Triton tells a missing compiler, header or driver in many ways
        _log.warning(
            "Triton cannot be used here (%s: %s): alignment on the GPU is correct but far slower",
            type(error).__name__, error,
        )  # fmt: skip
        return False
    _log.info("block sums: compiled by Triton %s for %s", triton.__version__, target)
    return True


def _to_tangent(raw: Float[Tensor, "poses terms 35"], rotations: Float[Tensor, "poses 3 3"]) -> BlockSums:
    """From derivatives in the reference's frame (kernels) to those of the left rotation vector and the shift.

    With u = R^T k, turning by omega on the left changes G by ``-omega . R (u x grad G)``; shifting by t multiplies by
    ``exp(-2 pi i (R u).t / n)``. Both act in the reference's frame through R alone.
    """
    turn = torch.block_diag(torch.ones(3, 3), torch.ones(3, 3)).to(raw)
    turn = turn * rotations.repeat(1, 2, 2) * torch.tensor([-1.0] * 3 + [1.0] * 3).to(raw)
    rows, columns = torch.triu_indices(6, 6, device=raw.device)
    gram = raw.new_empty(*raw.shape[:2], 6, 6)
    gram[..., rows, columns] = raw[..., 14:]
    gram[..., columns, rows] = raw[..., 14:]
    turn = turn[:, None]
    return BlockSums(
        raw[..., 0],
        raw[..., 1],
        (turn @ raw[..., 2:8, None])[..., 0],
        (turn @ raw[..., 8:14, None])[..., 0],
        turn @ gram @ turn.mT,
    )


def reference_block_sums(
    table: FourierTable,
    band: FourierBand,
    observed: Observations,
    poses: Poses,
    particle: Integer[Tensor, " poses"],
    terms: Integer[Tensor, " terms"],
) -> Float[Tensor, "poses terms 35"]:
    """The sums in plain tensor operations: any device, any precision; what the fused kernel is tested against.

    A pose that is not finite, or stretches the band beyond the table, has no sums: they are NaN.
    """
    if table.maps > 1:
        return _of_each_map(table, band, observed, poses, particle, terms)
    starts = band.starts.tolist()
    usable = (poses.rotations.norm(dim=-2) <= stretch_limit(table)).all(-1) & (poses.shifts.abs() < 1e30).all(-1)
    raw = torch.stack(
        [_one_block(table, band, observed, poses, particle, slice(starts[b], starts[b + 1])) for b in terms.tolist()], 1
    )
    return torch.where(usable[:, None, None], raw, torch.full_like(raw, torch.nan))


def _of_each_map(
    table: FourierTable, band: FourierBand, observed: Observations, poses: Poses, particle: Tensor, terms: Tensor
) -> Float[Tensor, "poses terms 35"]:
    if observed.maps is None:
        raise ValueError(f"block sums: expected to be told which of {table.maps} maps each particle is an image of")
    maps = observed.maps[particle]
    raw = poses.shifts.new_empty(len(poses), len(terms), SUMS[-1])
    for number in maps.unique().tolist():
        rows = (maps == number).nonzero()[:, 0]
        raw[rows] = reference_block_sums(table.single(number), band, observed, poses[rows], particle[rows], terms)
    return raw


def _one_block(
    table: FourierTable, band: FourierBand, observed: Observations, poses: Poses, particle: Tensor, block: slice
) -> Float[Tensor, "poses 35"]:
    k = band.frequencies[block].to(poses.shifts)
    u = k @ poses.rotations  # rows u = R^T k
    value, gradient = table.lookup(u)
    angle = (2 * math.pi / band.box) * (poses.shifts @ k.T)
    data = observed.data[particle, block] * torch.polar(torch.ones_like(angle), angle)
    weight = observed.weights[observed.weight_index[particle], block]
    turning = torch.linalg.cross(u.to(gradient.dtype), gradient, dim=-1)
    shifting = (-2j * math.pi / band.box) * value[..., None] * u
    jacobian = torch.cat([turning, shifting], -1)
    weighted = weight[..., None] * jacobian
    gram = (jacobian.mH @ weighted).real
    rows, columns = torch.triu_indices(6, 6, device=k.device)
    return torch.cat(
        [
            (value.conj() * data).real.sum(-1, keepdim=True),
            (weight * value.abs().square()).sum(-1, keepdim=True),
            (jacobian.conj() * data[..., None]).real.sum(-2),
            (weighted * value[..., None].conj()).real.sum(-2),
            gram[..., rows, columns],
        ],
        -1,
    )
