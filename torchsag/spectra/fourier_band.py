"""The independent Fourier coefficients up to a shell, split into blocks: the terms of a finite sum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor


@dataclass(frozen=True)
class FourierBand:
    """Coefficients ``0 < |k| <= max_shell`` of a cubic box, one of each Hermitian pair, block after block.

    Within a quarter of a block the order follows memory.

    Attributes
    ----------
    frequencies
        Integer Fourier indices (x, y, z).
    positions
        Where each coefficient lies in a flattened half-spectrum of the box.
    starts
        Block b is ``starts[b] : starts[b + 1]``.
    box
        Edge of the box, voxels.
    max_shell
        Largest shell.
    """

    frequencies: Integer[Tensor, "coefficients 3"]
    positions: Integer[Tensor, " coefficients"]
    starts: Integer[Tensor, " bounds"]
    box: int
    max_shell: int

    @staticmethod
    @lru_cache(maxsize=32)
    @torch.inference_mode(False)  # kept for later calls, which may need gradients
    def of(box: int, max_shell: int, num_blocks: int = 1, device: torch.device | str = "cpu") -> FourierBand:
        """Blocks of equal size, each a random sample of the band: one alone says roughly what the whole sum says."""
        frequencies = _half_ball(max_shell)
        count = len(frequencies)
        shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(count))
        starts = torch.linspace(0, count, num_blocks + 1).round().long()
        parts = _split(starts)
        order = torch.cat([shuffled[a:b].sort().values for a, b in pairwise(parts)])
        return _band(frequencies[order], starts, box, max_shell, device)

    @staticmethod
    @lru_cache(maxsize=32)
    @torch.inference_mode(False)  # kept for later calls, which may need gradients
    def by_shell(box: int, max_shell: int, device: torch.device | str = "cpu") -> FourierBand:
        """One block per shell: block b holds shell ``b + 1``."""
        frequencies = _half_ball(max_shell)
        shell = frequencies.double().norm(dim=-1).round().long()
        starts = torch.cat([torch.zeros(1, dtype=torch.long), torch.bincount(shell)[1:].cumsum(0)])
        return _band(frequencies[shell.argsort(stable=True)], starts, box, max_shell, device)

    @cached_property
    def reach(self) -> float:
        """The largest ``|k|``, once it is sure that the blocks lie within the coefficients."""
        bounds = self.starts.tolist()
        if sorted(bounds) != bounds or bounds[0] < 0 or bounds[-1] > len(self.frequencies):
            raise ValueError(f"band: expected blocks within {len(self.frequencies)} coefficients, got bounds {bounds}")
        return float(self.frequencies.double().norm(dim=-1).max()) if len(self.frequencies) else 0.0

    @cached_property
    def shells(self) -> Integer[Tensor, " coefficients"]:
        """The integer shell of each coefficient."""
        return self.frequencies.double().norm(dim=-1).round().long()

    @cached_property
    def packed(self) -> Float[Tensor, "3 coefficients"]:
        """The frequencies as compiled kernels read them: each axis in a row, in the precision it computes in."""
        return self.frequencies.T.to(torch.float32).contiguous()

    @cached_property
    def bounds(self) -> Integer[Tensor, " bounds"]:
        """`starts` where the coefficients are."""
        return self.starts.to(self.positions.device, torch.int32)

    @cached_property
    def quartered(self) -> FourierBand:
        """The same coefficients in four times as many blocks: of random ones the quarters are random, too."""
        return replace(self, starts=_split(self.starts))

    @cached_property
    def blocks(self) -> Integer[Tensor, " coefficients"]:
        """The block of each coefficient."""
        sizes = self.starts.diff()
        return torch.repeat_interleave(torch.arange(self.num_blocks), sizes).to(self.positions.device)

    @property
    def num_blocks(self) -> int:
        """Number of terms."""
        return len(self.starts) - 1

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, half_spectrum: Tensor) -> Tensor:
        """Pick the band's coefficients out of half-spectra ``[..., z, y, kx]``."""
        return half_spectrum.flatten(-3).index_select(-1, self.positions)

    def put(self, values: Complex[Tensor, "*batch coefficients"]) -> Complex[Tensor, "*batch z y kx"]:
        """Half-spectra of real volumes with these coefficients and zeros elsewhere: undoes `take` within the band."""
        n = self.box
        half = values.new_zeros(*values.shape[:-1], n * n * (n // 2 + 1))
        half = half.index_copy(-1, self.positions, values)
        # The plane k_x = 0 holds both members of each Hermitian pair.
        middle = (self.frequencies[:, 0] == 0).nonzero()[:, 0]
        y, z = -self.frequencies[middle, 1] % n, -self.frequencies[middle, 2] % n
        half = half.index_copy(-1, (z * n + y) * (n // 2 + 1), values.index_select(-1, middle).conj().resolve_conj())
        return half.unflatten(-1, (n, n, n // 2 + 1))


def _split(starts: Integer[Tensor, " bounds"], parts: int = 4) -> Integer[Tensor, " more_bounds"]:
    """Bounds of so many parts of each block."""
    share = torch.arange(parts) / parts
    inner = starts[:-1, None] + (starts.diff()[:, None] * share).round().long()
    return torch.cat([inner.flatten(), starts[-1:]])


def _half_ball(max_shell: int) -> Integer[Tensor, "coefficients 3"]:
    """Fourier indices (x, y, z) with ``0 < |k| <= max_shell``, one of each pair k, -k, in a half-spectrum's order."""
    reach = torch.arange(-max_shell, max_shell + 1)
    kz, ky, kx = torch.meshgrid(reach, reach, reach[max_shell:], indexing="ij")
    one_of_pair = (kx > 0) | (ky > 0) | ((ky == 0) & (kz > 0))
    inside = (kx.square() + ky.square() + kz.square() <= max_shell**2) & one_of_pair
    return torch.stack([kx[inside], ky[inside], kz[inside]], -1)


def _band(
    frequencies: Integer[Tensor, "coefficients 3"],
    starts: Integer[Tensor, " bounds"],
    box: int,
    max_shell: int,
    device: torch.device | str,
) -> FourierBand:
    x, y, z = frequencies.unbind(-1)
    positions = ((z % box) * box + y % box) * (box // 2 + 1) + x
    return FourierBand(frequencies.to(device), positions.to(device), starts, box, max_shell)
