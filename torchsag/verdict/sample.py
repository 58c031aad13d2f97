"""How well a few particles match a map, its inversion, its mirror image and maps that mean nothing.

All checks of a reference rest on one number per particle: the best score of a coarse search of all orientations
(`torchsag.search.rotational_matching`), a few milliseconds each. The same particles are matched with the reference and
with what is to be excluded, so that differences are those of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.fourier import from_half_spectrum, half_shells, shell_sums, to_half_spectrum
from torchsag.geometry import Symmetry
from torchsag.imaging.masks import centred_radius
from torchsag.imaging.reference import isolated
from torchsag.particles import DensityMap, ParticleBatch, ParticleSet
from torchsag.particles.pure_noise import PureNoise
from torchsag.search.local_grid import LocalGrid
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.verdict.chance import paired_p

LEAST_BOX = 16
_NO_SYMMETRY = Symmetry("C1")
_NULLS = 6
_WIDE = 0.4
# A wide radius holds many shifts. A first look, whose trial shifts are a tenth of the box apart, hardly tells particles
# just beyond the radius from some within: where it gains more than chance does once in five, a second one is as fine
# as the other searches.
_FIRST_LOOK, _SECOND_LOOK = 6, 10
_SUSPICIOUS = 0.2
_ROUNDS = 3


@dataclass(frozen=True)
class Matches:
    """Scores of a sample of particles, in standard deviations of noise.

    Attributes
    ----------
    reference, inverted, mirrored
        With the reference, with its sign turned, and with its mirror image.
    meaningless
        With maps that have the reference's size, radial profile and power in every Fourier shell, and nothing else; of
        the sign that fits the sample better.
    noise
        Of noise with the power of each particle, with the reference.
    wider
        What a search gains within 0.4 of the box over the run's radius of shifts: on the particles, and on the noise;
        None where the run searches no such radius.
    """

    reference: Float[Tensor, " sample"]
    inverted: Float[Tensor, " sample"]
    mirrored: Float[Tensor, " sample"]
    meaningless: Float[Tensor, "nulls sample"]
    noise: Float[Tensor, " sample"]
    wider: tuple[Float[Tensor, " sample"], Float[Tensor, " sample"]] | None = None

    def accounts(self) -> dict[str, Float[Tensor, " sample"]]:
        """Scores of the sample if all is as it should be, and if there is one fault.

        Of a search beyond the radius, which has more to choose from, what it gains on noise is taken off.
        """
        found = {"reference": self.reference, "inverted": self.inverted, "mirrored": self.mirrored}
        if self.wider is not None:
            gain, of_noise = self.wider
            found["outside"] = self.reference + gain - of_noise.mean()
        return found

    @property
    def likeliest(self) -> str:
        """The account that explains the sample best."""
        means = {name: float(scores.mean()) for name, scores in self.accounts().items()}
        return max(means, key=lambda name: means[name])


@dataclass(frozen=True)
class SearchRadius:
    """How far from where it begins a method looks for a particle.

    Attributes
    ----------
    fraction
        Of the box.
    key
        The setting that says so.
    """

    fraction: float
    key: str


def best_scores(
    particles: ParticleBatch, volume: DensityMap, max_shift: float, max_shell: int | None = None, degree: int = 10
) -> Float[Tensor, " sample"]:
    """The best score of each particle with a map, over all orientations and shifts within a part of the box.

    Shells are compared up to `max_shell`; None takes what the map's size and the degree resolve.
    """
    search = RotationalMatching(degree=degree, num_candidates=1, max_shift=max_shift, max_shell=max_shell)
    return search.prepare(volume, _NO_SYMMETRY).best_of_both_signs(particles)[0]


def search_radius(method: object) -> SearchRadius | None:
    """How far a method looks for shifts about the box centre; None where its search has no such radius.

    A method that matches shifts itself, after its search has given it rotations, is bound by its own radius.
    """
    search = getattr(method, "search", None)
    if isinstance(search, LocalGrid):
        return None
    for holder, key in ((method, "method.max_shift"), (search, "method.search.max_shift")):
        fraction = getattr(holder, "max_shift", None)
        if fraction is not None:
            return SearchRadius(float(fraction), key)
    return None


def sample_rows(count: int, most: int, seed: int) -> list[int]:
    """At most `most` rows of a set, at random and in order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return sorted(order[:most].tolist())


def match_sample(
    particles: ParticleSet,
    rows: list[int],
    reference: DensityMap,
    max_shift: float | None,
    centres: Float[Tensor, "particles 3"] | None = None,
    seed: int = 0,
) -> Matches:
    """Match some particles of a set.

    Parameters
    ----------
    particles
        The set.
    rows
        Which of them.
    reference
        The map in question, of the particles' box, at least `LEAST_BOX` voxels.
    max_shift
        Radius of the run's search of shifts, as a fraction of the box; None where it has none.
    centres
        Where the run looks for each particle, voxels; None for the box centre.
    seed
        Of the maps and the noise that mean nothing.
    """
    shifts = None if centres is None else centres[torch.tensor(rows)]
    sample = _recentred(particles.load(rows), shifts)
    noise = _recentred(PureNoise.like(particles, seed).load(rows), shifts)
    density = isolated(reference.density.float())
    radius = 0.125 if max_shift is None else max_shift
    first = RotationalMatching(num_candidates=1, max_shift=radius).prepare(reference, _NO_SYMMETRY)

    def scores(batch: ParticleBatch, volume: Float[Tensor, "z y x"]) -> Float[Tensor, " sample"]:
        # The same shells for every map: more of them would give more chances.
        return best_scores(batch, replace(reference, density=volume), radius, first.max_shell)

    wider = None
    if max_shift is not None and max_shift < _WIDE:
        wider = _gains(sample, noise, reference, max_shift)
    search = RotationalMatching(num_candidates=1, max_shift=radius, max_shell=first.max_shell)
    prepared = search.prepare(replace(reference, density=density), _NO_SYMMETRY)
    upright, inverted = prepared.best_of_both_signs(sample)
    sign = 1.0 if float(upright.mean()) >= float(inverted.mean()) else -1.0
    return Matches(
        reference=upright,
        inverted=inverted,
        mirrored=scores(sample, reference.mirrored().density),
        meaningless=torch.stack([scores(sample, sign * meaningless(density, seed + k)) for k in range(_NULLS)]),
        noise=prepared.best_of_both_signs(noise)[0],
        wider=wider,
    )


def _gains(
    particles: ParticleBatch, noise: ParticleBatch, reference: DensityMap, max_shift: float
) -> tuple[Float[Tensor, " sample"], Float[Tensor, " sample"]]:
    """What a search farther off gains on particles and on noise, more closely where it seems to gain on particles."""
    found = _gain(particles, reference, max_shift, _FIRST_LOOK), _gain(noise, reference, max_shift, _FIRST_LOOK)
    if paired_p(*found) > _SUSPICIOUS:
        return found
    return _gain(particles, reference, max_shift, _SECOND_LOOK), _gain(noise, reference, max_shift, _SECOND_LOOK)


def _gain(particles: ParticleBatch, reference: DensityMap, max_shift: float, degree: int) -> Float[Tensor, " sample"]:
    near, far = (best_scores(particles, reference, radius, degree=degree) for radius in (max_shift, _WIDE))
    return far - near


def meaningless(density: Float[Tensor, "z y x"], seed: int) -> Float[Tensor, "z y x"]:
    """A map with the radial profile and the shell powers of a centred one, otherwise random and of the same extent."""
    box = (density.shape[0], density.shape[1], density.shape[2])
    # Powers of powers are formed below: of a map in units of its own size, whatever the scale of its file.
    size = density.square().mean().sqrt().clamp_min(torch.finfo(density.dtype).tiny)
    density = density / size
    profile, extent = _radial_mean(density), _radial_mean(density.square()).sqrt()
    wanted = shell_sums(to_half_spectrum(density - profile).abs().square(), box)
    shells = half_shells(box).clamp_max(len(wanted) - 1)
    drawn = torch.randn(box, generator=torch.Generator().manual_seed(seed))
    for _ in range(_ROUNDS):  # the extent and the powers, by turns
        spectrum = to_half_spectrum(drawn * extent)
        power = shell_sums(spectrum.abs().square(), box)
        drawn = from_half_spectrum(spectrum * (wanted / power.clamp_min(1e-30)).sqrt()[shells], box)
    return size * (profile + drawn)


def _recentred(particles: ParticleBatch, shifts: Float[Tensor, "particles 3"] | None) -> ParticleBatch:
    return particles if shifts is None else particles.recentred(shifts)


def _radial_mean(density: Float[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
    box = (density.shape[0], density.shape[1], density.shape[2])
    radius: Integer[Tensor, "z y x"] = centred_radius(box, density.device).round().long()
    sums = density.new_zeros(int(radius.max()) + 1).index_add_(0, radius.flatten(), density.flatten())
    return (sums / torch.bincount(radius.flatten()))[radius]
