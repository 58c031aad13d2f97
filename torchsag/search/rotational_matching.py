"""Fast rotational matching of complex transforms: every rotation and a lattice of shifts, by matrix products.

The score is the wedge-normalised matched filter ``sum Re conj(m) D / sqrt(sum w |m|^2)``, whose square is proportional
to the gain in log-likelihood over no particle at all.

Three choices make it cheap. Shifts are tried in the reference's frame: shifted references are transformed once for
all particles, and a ball of shifts is the same ball in every frame. A particle is analysed by the adjoint of
synthesis, ``f_lm(r) = sum_k D(k) h_r(|k|) conj Y_lm(k / |k|)`` with h linear between shells, directly from its Fourier
coefficients: the correlation is then the exact inner product with a band-limited model, and no noise is interpolated.
The normaliser, the same correlation of the squared weight with ``|G|^2``, depends on the wedge alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry
from torchsag.harmonics import EulerGrid, RotationalCorrelation, ShellSampling, spherical_harmonics
from torchsag.imaging.reference import as_model, radius_of_gyration
from torchsag.likelihood.noise_spectrum import total_spectrum, whitened
from torchsag.likelihood.observations import Observations, observe
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.search.candidates import Candidates, Limits
from torchsag.search.selection import select_separated
from torchsag.search.shift_lattice import shift_lattice
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

# Scores held at once, numbers: a processor's cache; on a GPU, where a hundred launches cost more than memory does, a
# quarter of a gigabyte.
_CACHE, _ON_GPU = 2**20, 2**26


@dataclass(frozen=True)
class RotationalMatching:
    """Search all rotations and a ball of shifts by correlating complex transforms.

    Attributes
    ----------
    degree
        Band limit l; steps are ``180 / (l + 1)`` degrees, cost grows as its fourth power.
    max_shell
        Largest Fourier shell used; ``None`` takes what the degree can resolve at the reference's radius.
    max_shift
        Radius of the ball of shifts around the listed origin, as a fraction of the box (method.search.max_shift).
    num_candidates
        Poses handed on, at least `separation_deg` apart.
    separation_deg
        Smallest angle between two candidates, modulo symmetry; degrees.
    """

    degree: int = 10
    max_shell: int | None = None
    max_shift: float = 0.125
    num_candidates: int = 24
    separation_deg: float = 15.0

    def __post_init__(self):
        if not 2 <= self.degree <= 64:
            raise InputError(f"degree: expected 2 to 64, got {self.degree}")
        if not 0 <= self.max_shift <= 0.5:
            raise InputError(f"max_shift: expected a fraction of the box, 0 to 0.5, got {self.max_shift}")
        if self.num_candidates < 1:
            raise InputError(f"num_candidates: expected at least 1, got {self.num_candidates}")

    def prepare(
        self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu"
    ) -> PreparedRotationalMatching:
        """Transform the shifted references and build the tables of the correlation."""
        return PreparedRotationalMatching(self, as_model(reference.density.float()).to(device), symmetry)


class PreparedRotationalMatching:
    """See `RotationalMatching`."""

    def __init__(self, search: RotationalMatching, density: Float[Tensor, "z y x"], symmetry: Symmetry):
        self._search, self._symmetry = search, symmetry
        box = density.shape[-1]
        device = density.device
        resolved = search.degree * box / (2 * math.pi * radius_of_gyration(density))
        self.max_shell = min(search.max_shell or max(4, round(resolved)), box // 2 - 1)
        self._analysis = _analysis(box, self.max_shell, search.degree, device)
        self.band = self._analysis.band
        # Half a period of the outermost shell is the farthest a trial shift may miss; half of that on average.
        covering = box / (2.4 * self.max_shell)
        self.shifts = shift_lattice(search.max_shift * box, covering).to(device)
        self._farthest = search.max_shift * box + covering
        shells = _shell_values(density, self.max_shell, search.degree, self.shifts)
        fold = symmetry.fold_about_z
        grid = EulerGrid(search.degree, fold)
        sampling = _sampling(search.degree)
        # A reference that is shifted off its axis has no symmetry about it.
        kept = fold if len(self.shifts) == 1 else 1
        self._correlate = RotationalCorrelation(grid, sampling.analyse(shells), kept)
        self._normalise = RotationalCorrelation(grid, sampling.analyse(shells[:1].abs().square() + 0j), fold)
        most = _CACHE if device.type == "cpu" else _ON_GPU
        self._at_once = max(1, most // (len(self.shifts) * math.prod(grid.shape)))
        self._rotations = grid.rotations().to(device=device, dtype=torch.float32).flatten(0, 2)

    def __call__(self, particles: ParticleBatch) -> Candidates:
        """Find starting poses for each particle."""
        index, best, shifts = self._of_all(particles, self._match)
        rotations = self._rotations[index]
        poses = Poses(rotations, torch.einsum("...ij,...j->...i", rotations, shifts))
        return Candidates(poses, best, self._limits(len(particles)))

    def best_of_both_signs(
        self, particles: ParticleBatch
    ) -> tuple[Float[Tensor, " particles"], Float[Tensor, " particles"]]:
        """The best score of each particle with the reference, and with the reference of opposite sign."""
        return self._of_all(particles, self._extremes)

    def _of_all(self, particles: ParticleBatch, some: Callable[[Observations], tuple[Tensor, ...]]) -> Any:
        """What `some` finds of a few particles at once, for all of them."""
        observed = observe(particles, self.band)
        observed = whitened(observed, self.band, total_spectrum(observed, self.band))
        parts = [some(observed[rows]) for rows in torch.arange(len(observed)).split(self._at_once)]
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    def _extremes(self, observed: Observations) -> tuple[Tensor, Tensor]:
        scores = self.scores(observed).flatten(1)
        return scores.amax(1), -scores.amin(1)

    def _match(self, observed: Observations) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the chosen rotations, their scores, and their shifts in the reference's frame."""
        scores, version = self.scores(observed).max(-1)
        index, best = select_separated(
            scores, self._rotations, self._search.num_candidates,
            math.radians(self._search.separation_deg), self._symmetry,
        )  # fmt: skip
        return index, best, self.shifts[version.gather(1, index)]

    def _limits(self, count: int) -> Limits:
        centres = Poses.identity(count, device=self.shifts.device)
        return Limits(centres, math.pi + 1e-3, self._farthest, self._symmetry)

    def scores(self, observed: Observations) -> Float[Tensor, "particles rotations shifts"]:
        """The matched filter at every rotation of the grid and every trial shift."""
        cross = self._correlate(self._analysis(observed.data)).flatten(0, 2)
        weights = self._analysis(observed.weights + 0j)
        energy = self._normalise(weights).flatten(0, 2)[..., 0]
        # Truncation at the degree can make a thin wedge's energy nearly vanish somewhere: keep it a sensible divisor.
        energy = energy.clamp_min(0.1 * energy.mean(0, keepdim=True)).clamp_min(torch.finfo(energy.dtype).tiny)
        cross *= energy.rsqrt()[:, observed.weight_index, None]
        return cross.permute(1, 0, 2)


class _Analysis:
    """Harmonic coefficients of a particle on shells 1 .. K, by the adjoint of synthesis (see the module)."""

    def __init__(self, band: FourierBand, degree: int):
        self.band = band
        radius = band.frequencies.double().norm(dim=-1)
        directions = band.frequencies.double() / radius[:, None]
        harmonics = spherical_harmonics(degree, directions).conj()
        order_l, order_m = torch.tril_indices(degree + 1, degree + 1, device=radius.device)
        self._place = order_l * (degree + 1) + order_m
        self._degree = degree
        self._even = order_l % 2 == 0
        self._shells: list[tuple[Tensor, Tensor, Tensor]] = []
        for shell in range(1, band.max_shell + 1):
            hat = 1 - (radius - shell).abs()
            members = (hat > 0).nonzero()[:, 0]
            # Each coefficient stands for its Hermitian mate as well: twice its real (even l) or imaginary (odd l) part.
            basis = 2 * hat[members, None] * harmonics[members][:, order_l, order_m]
            basis = torch.view_as_real(basis).float()
            self._shells.append((members, basis[:, self._even].flatten(1), basis[:, ~self._even].flatten(1)))

    def __call__(self, data: Complex[Tensor, "batch coefficients"]) -> Complex[Tensor, "batch shells l m"]:
        real, imaginary = data.real, data.imag
        size = self._degree + 1
        out = data.new_zeros(len(data), len(self._shells), size * size)
        even, odd = self._place[self._even], self._place[~self._even]
        for shell, (members, even_basis, odd_basis) in enumerate(self._shells):
            out[:, shell, even] = torch.view_as_complex((real[:, members] @ even_basis).unflatten(1, (-1, 2)))
            out[:, shell, odd] = torch.view_as_complex((imaginary[:, members] @ odd_basis).unflatten(1, (-1, 2)))
        return out.unflatten(2, (size, size))


@lru_cache(maxsize=4)
def _analysis(box: int, max_shell: int, degree: int, device: torch.device) -> _Analysis:
    """Kept, as at high degrees it takes seconds and a hundred megabytes, and many references can share it."""
    return _Analysis(FourierBand.of(box, max_shell, device=device), degree)


def _sampling(degree: int) -> ShellSampling:
    return ShellSampling(degree, 2 * degree + 8)


def _shell_values(
    density: Float[Tensor, "z y x"], max_shell: int, degree: int, shifts: Float[Tensor, "shifts 3"]
) -> Complex[Tensor, "shifts shells latitudes longitudes"]:
    """The transform of the shifted reference on shells 1 .. K."""
    table = FourierTable.from_density(density, max_shell)
    directions = _sampling(degree).directions().to(device=density.device, dtype=density.dtype)
    radii = torch.arange(1, max_shell + 1, device=density.device, dtype=density.dtype)
    points = radii[:, None, None, None] * directions
    value, _ = table.lookup(points)
    angle = (-2 * math.pi / table.box) * torch.einsum("...d,sd->s...", points, shifts)
    return value * torch.polar(torch.ones_like(angle), angle)
