"""The forward model, layer by layer: map, pose and shift, wedge or CTF, noise.

``particle = W(k) CTF(k) exp(-2 pi i k.t) G(R^T k) + white noise``, as half-spectra (`torchsag.fourier.transforms`).
Whatever is to be learned is a parameter, with its unit in its name; whatever is given, a buffer. Both are part of
``state_dict()``.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from torchsag.axes import Box, HalfSpectra, Volumes
from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_frequencies, hermitian_multiplicity, to_half_spectrum
from torchsag.geometry import Poses
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.interpolation import Interpolation
from torchsag.imaging.sampling import place
from torchsag.imaging.wedge import missing_wedge
from torchsag.nn.rows import rows
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.requirements import require_box, require_kind, require_positive, require_tensor, require_whole


class DensityLayer(nn.Module):
    """A map that can be learned, read between its voxels.

    Attributes
    ----------
    density
        Parameter: values on the grid.
    """

    def __init__(self, start: DensityMap, interpolation: Interpolation | None = None):
        super().__init__()
        require_kind("start", start, DensityMap, "a DensityMap", "DensityMap(density, voxel_size) makes one")
        if interpolation is not None:
            require_kind("interpolation", interpolation, Interpolation, "an interpolation such as CubicSpline(2)")
        self.density = nn.Parameter(start.density.detach().clone())
        self.voxel_size = start.voxel_size
        self.interpolation = CubicSpline(2) if interpolation is None else interpolation

    @property
    def box(self) -> Box:
        """Size (z, y, x) in voxels."""
        z, y, x = self.density.shape
        return z, y, x

    def forward(self, poses: Poses) -> Volumes:
        """The map at each pose."""
        return place(self.interpolation.prepare(self.density), poses, self.box)

    def as_map(self) -> DensityMap:
        """The present map."""
        return DensityMap(self.density.detach().clone(), self.voxel_size)


class WedgeLayer(nn.Module):
    """What the tilt series of each particle measured.

    Attributes
    ----------
    weights
        Buffer: the distinct weights W, half-spectra.
    weight_index
        Buffer: each particle's weight.
    """

    weights: Tensor
    weight_index: Tensor

    def __init__(self, weights: Float[Tensor, "weights z y kx"], weight_index: Tensor):
        super().__init__()
        require_tensor("weights", weights, ("weights", "z", "y", "x // 2 + 1"))
        require_tensor("weight_index", weight_index, ("particles",), "whole")
        if len(weight_index) and not 0 <= int(weight_index.min()) <= int(weight_index.max()) < len(weights):
            raise InputError(
                f"weight_index: expected numbers from 0 to {len(weights) - 1}, got {int(weight_index.min())} to "
                f"{int(weight_index.max())}"
            )
        self.register_buffer("weights", weights.detach().clone())
        self.register_buffer("weight_index", weight_index.detach().clone())

    @staticmethod
    def of(particles: ParticleBatch) -> WedgeLayer:
        """The weights of these particles."""
        require_kind("particles", particles, ParticleBatch, "a ParticleBatch")
        return WedgeLayer(particles.weights, particles.weight_index)

    @staticmethod
    def single_axis(box: Box, tilt_min_deg: float, tilt_max_deg: float, count: int) -> WedgeLayer:
        """One missing wedge for all; angles in degrees."""
        require_box("box", box)
        require_whole("count", count)
        wedge = missing_wedge(box, tilt_min_deg, tilt_max_deg)
        return WedgeLayer(wedge[None], torch.zeros(count, dtype=torch.long))

    def forward(self, spectra: HalfSpectra, index: Any = slice(None)) -> HalfSpectra:
        """Spectra of some particles times their weights."""
        weights = self.weights[rows("weights", self.weight_index, index)]
        _require_spectra(spectra, tuple(weights.shape))
        return spectra * weights


class CTF(nn.Module):
    """A contrast transfer function with a defocus for each particle.

    Attributes
    ----------
    defocus_um
        Parameter: micrometre, negative for underfocus.
    """

    frequency_per_angstrom: Tensor

    def __init__(
        self, box: Box, voxel_size: float, defocus_um: Float[Tensor, " particles"], microscope: Microscope | None = None
    ):
        super().__init__()
        require_box("box", box)
        require_positive("voxel_size", voxel_size, "a number of angstrom")
        require_tensor("defocus_um", defocus_um, ("particles",))
        if not bool(defocus_um.isfinite().all()):
            raise InputError("defocus_um: expected finite numbers of micrometres, got NaN or infinity")
        if microscope is not None:
            require_kind("microscope", microscope, Microscope, "a Microscope")
        self.microscope = Microscope() if microscope is None else microscope
        self.defocus_um = nn.Parameter(defocus_um.detach().clone())
        frequency = half_frequencies(box, dtype=defocus_um.dtype).norm(dim=-1) / voxel_size
        self.register_buffer("frequency_per_angstrom", frequency, persistent=False)

    def forward(self, spectra: HalfSpectra, index: Any = slice(None)) -> HalfSpectra:
        """Spectra of some particles times their transfer."""
        defocus = rows("defocus_um", self.defocus_um, index)[..., None, None, None]
        _require_spectra(spectra, (*defocus.shape[:-3], *self.frequency_per_angstrom.shape))
        return spectra * self.microscope.ctf(self.frequency_per_angstrom, defocus)


class WhiteNoise(nn.Module):
    """White noise of a standard deviation per voxel that can be learned.

    Attributes
    ----------
    log_std
        Parameter: natural logarithm of the standard deviation per voxel, so that it stays positive.
    """

    def __init__(self, std: float):
        super().__init__()
        require_positive("white noise", std, "a standard deviation")
        self.log_std = nn.Parameter(torch.tensor(float(std)).log())

    def forward(self, volumes: Volumes, generator: torch.Generator | None = None) -> Volumes:
        """Noisy volumes; differentiable in the standard deviation."""
        require_tensor("volumes", volumes, ("...", "z", "y", "x"))
        if generator is not None:
            require_kind("generator", generator, torch.Generator, "a torch.Generator", "or None for torch's own")
        noise = torch.randn(volumes.shape, generator=generator, dtype=volumes.dtype, device=volumes.device)
        return volumes + self.log_std.exp() * noise


class ForwardModel(nn.Module):
    """What particles should look like, and how badly they do: layers put together.

    Attributes
    ----------
    density
        The map.
    poses
        A pose layer (`torchsag.nn.pose_layers`): called with an index it gives `Poses`.
    transfers
        Layers on half-spectra that are called with spectra and index, one after another: `WedgeLayer`, `CTF`.
    noise
        The noise of the likelihood.
    """

    def __init__(self, density: DensityLayer, poses: nn.Module, transfers: list[nn.Module], noise: WhiteNoise):
        super().__init__()
        require_kind("density", density, DensityLayer, "a DensityLayer", "DensityLayer(map) makes one")
        require_kind("poses", poses, nn.Module, "a pose layer", "TangentPoses(poses) makes one of Poses")
        require_kind("noise", noise, WhiteNoise, "a WhiteNoise layer", "WhiteNoise(std) makes one")
        require_kind("transfers", transfers, (list, tuple), "a list of layers on half-spectra")
        for transfer in transfers:
            require_kind("transfers", transfer, nn.Module, "layers such as WedgeLayer and CTF")
        self.density, self.poses, self.noise = density, poses, noise
        self.transfers = nn.ModuleList(transfers)

    def forward(self, index: Any = slice(None)) -> HalfSpectra:
        """Noise-free half-spectra of some particles, by default of all."""
        spectra = to_half_spectrum(self.density(self.poses(index)))
        for transfer in self.transfers:
            spectra = transfer(spectra, index)
        return spectra

    def negative_log_likelihood(
        self, particles: ParticleBatch, index: Any = slice(None)
    ) -> Float[Tensor, " particles"]:
        """Of each of these particles, which are those of `index`, given the model; over what they measured.

        ``sum_k |Y - model|^2 / (2 N s^2) + M log s`` over the M real numbers in which ``W > 0``, N the voxels of a box:
        the transform is not normalised, so that a coefficient's noise has variance ``N s^2``.
        """
        require_kind("particles", particles, ParticleBatch, "a ParticleBatch")
        box = self.density.box
        if particles.box != box or abs(particles.voxel_size / self.density.voxel_size - 1) > 1e-3:
            raise InputError(
                f"forward model: expected particles of box {box} and {self.density.voxel_size:g} angstrom per voxel, "
                f"got {particles.box} and {particles.voxel_size:g}"
            )
        measured = (particles.weights > 0)[particles.weight_index]
        count = hermitian_multiplicity(box, particles.spectra.device).to(particles.weights) * measured
        expected = self(index)
        if len(expected) != len(particles):
            raise InputError(
                f"forward model: expected as many particles as poses, got {len(particles)} and {len(expected)}; index "
                "says which poses the particles have"
            )
        residual = (particles.spectra - expected) * measured
        power = (count * (residual.real.square() + residual.imag.square())).sum((-3, -2, -1)) / (
            box[0] * box[1] * box[2]
        )
        precision = (-2 * self.noise.log_std).exp()
        return 0.5 * precision * power + self.noise.log_std * count.sum((-3, -2, -1))

    def sample(self, index: Any = slice(None), generator: torch.Generator | None = None) -> Volumes:
        """Noisy particles: white noise over the whole box, cut by no wedge."""
        return self.noise(from_half_spectrum(self(index), self.density.box), generator)


def _require_spectra(spectra: Tensor, wanted: tuple[int, ...]) -> None:
    require_tensor("spectra", spectra, ("...", *wanted[-3:]), "complex")
    if tuple(spectra.shape[: spectra.ndim - 3]) not in (wanted[:-3], (1,), ()):
        raise InputError(
            f"spectra: expected one for each of the layer's particles, {list(wanted)}, got shape "
            f"{list(spectra.shape)}; index says which particles they are"
        )
