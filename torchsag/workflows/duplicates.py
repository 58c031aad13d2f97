"""Find particles that were picked twice: the work behind ``torchsag duplicates``.

Two boxes cut from one tomogram that overlap share its noise, and noise that both half-sets share makes their FSC too
good. Copies need no coordinates to be found: over frequencies at which the noise outweighs the structure, volumes are
correlated at every displacement. Independent noise correlates by a few per cent at most, two boxes that overlap by
roughly the part that they share.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.csv_cells import cell
from torchsag.errors import InputError
from torchsag.fourier import crop_spectrum, from_half_spectrum, half_shells, shell_sums
from torchsag.particles import ParticleBatch, ParticleSet
from torchsag.runs.metrics import surroundings, write_metrics, write_set_aside
from torchsag.runs.outcome import Outcome
from torchsag.runs.output_folder import claim, publish
from torchsag.runs.particle_run import ParticleInput
from torchsag.runs.progress import progress
from torchsag.runs.provenance import Provenance
from torchsag.runs.usable_particles import load_usable, say_set_aside
from torchsag.verdict.set_aside import SetAside

_CHUNK = 64
# Standard deviations of the correlation over all displacements that a pair must stand out by: among some ten thousand
# displacements independent noise reaches 4 to 5, however few coefficients the wedge has left.
_SIGNIFICANT = 7.0


class Pair(NamedTuple):
    """Two particles that share data; `shift` is where the second's content lies in the first, voxels (x, y, z)."""

    first: int
    second: int
    correlation: float
    shift: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Duplicates(ParticleInput):
    """Report pairs of particles that share data.

    Attributes
    ----------
    out
        Folder for ``duplicates.csv`` and ``metrics.json``.
    least_correlation
        From which on a pair is reported, if it stands out from all other displacements; about the part of the box that
        the two have in common.
    finest_angstrom, coarsest_angstrom
        The band that is compared; None takes a quarter and a half of the frequencies the box holds. Below it the
        structure that all particles have in common would be compared as well.
    skip_bad
        Set particles with unusable data (NaN, all zero, corrupt) aside instead of stopping.
    """

    out: str
    least_correlation: float = 0.15
    finest_angstrom: float | None = None
    coarsest_angstrom: float | None = None
    skip_bad: bool = False

    def __post_init__(self):
        if not 0 < self.least_correlation < 1:
            raise InputError(f"least_correlation: expected a value between 0 and 1, got {self.least_correlation}")

    def __call__(self, provenance: Provenance) -> Outcome:
        """Compare all particles of each tomogram and write what was found.

        Raises
        ------
        InputError
            If something given from outside is unusable.
        """
        particles = self.read(self.skip_bad)
        first, last = self._band(particles)
        pairs: list[Pair] = []
        faults: dict[int, str] = {}
        with claim(Path(self.out)):
            with progress("comparing", len(particles)) as advance:
                for rows in _by_tomogram(particles):
                    found, lost = find_duplicates(particles, rows, first, last, self.least_correlation, self.skip_bad)
                    say_set_aside(lost)
                    pairs, faults = pairs + found, faults | lost
                    advance(len(rows))
            if len(faults) == len(particles):
                raise InputError(f"{self.particles}: not one particle could be used; the first: {faults[0]}")
            crossing = _crossing(particles, pairs)
            summary = {
                "particles": len(particles),
                "set_aside": len(faults),
                "pairs": len(pairs),
                "pairs_across_halves": crossing,
                "wall_seconds": provenance.seconds,
            }
            with publish(Path(self.out)) as staging:
                _write(staging / "duplicates.csv", particles, pairs)
                metrics = {**surroundings(provenance, 0, torch.device("cpu"), 1), "summary": summary}
                write_metrics(staging / "metrics.json", metrics)
                write_set_aside(staging / "set_aside.txt", [faults[row] for row in sorted(faults)])
                (staging / "config.yaml").write_text(provenance.configuration, encoding="utf-8")
        rows = [("particles", str(len(particles))), ("pairs that share data", str(len(pairs)))]
        if crossing is not None:
            rows.append(("of these across the half-sets", str(crossing)))
        aside = SetAside()([faults.get(row, "") for row in range(len(particles))])
        notes = [*_advice(pairs), *([aside.text] if aside is not None else []), f"{self.out}/duplicates.csv"]
        return Outcome("duplicates", ("", "value"), tuple(rows), tuple(notes))

    def _band(self, particles: ParticleSet) -> tuple[int, int]:
        n = min(particles.box)
        extent = n * particles.voxel_size
        first = n // 8 if self.coarsest_angstrom is None else math.ceil(extent / self.coarsest_angstrom)
        last = n // 4 if self.finest_angstrom is None else math.floor(extent / self.finest_angstrom)
        if not 1 <= first < last <= n // 2:
            raise InputError(
                f"duplicates: expected finest_angstrom < coarsest_angstrom between {2 * particles.voxel_size:g} and "
                f"{extent:g} angstrom, got Fourier shells {first} to {last} of 1 to {n // 2}"
            )
        return first, last


def find_duplicates(
    particles: ParticleSet, rows: list[int], first_shell: int, last_shell: int, least: float, skip_bad: bool = False
) -> tuple[list[Pair], dict[int, str]]:
    """Pairs among some particles, every pair compared at all displacements; and what is wrong with those left out.

    The cost grows with the square of their number: under a millisecond a pair in boxes of 64 voxels. Memory: 0.5 MB
    each.
    """
    m = min(3 * last_shell, *particles.box)  # fine enough not to miss a peak between samples
    small = (m, m, m)
    parts: list[Tensor] = []
    faults: dict[int, str] = {}
    for k in range(0, len(rows), _CHUNK):
        batch, _, lost = load_usable(particles, rows[k : k + _CHUNK], skip_bad=skip_bad)
        faults |= lost
        parts += [] if batch is None else [_noise(batch, particles.box, first_shell, last_shell, small)]
    if not parts:
        return [], faults
    rows, spectra = [row for row in rows if row not in faults], torch.cat(parts)
    pairs: list[Pair] = []
    for i in range(len(rows) - 1):
        for start in range(i + 1, len(rows), _CHUNK):
            block = spectra[start : start + _CHUNK]
            correlation = from_half_spectrum(spectra[i] * block.conj(), small).flatten(1)
            peaks, places = correlation.max(dim=1)
            least_here = (_SIGNIFICANT * correlation.std(dim=1)).clamp_min(least)
            pairs += [
                Pair(rows[i], rows[start + k], float(peaks[k]), _displacement(int(places[k]), particles.box, small))
                for k in (peaks >= least_here).nonzero()[:, 0].tolist()
            ]
    return pairs, faults


def _noise(
    batch: ParticleBatch, box: tuple[int, int, int], first_shell: int, last_shell: int, small: tuple[int, int, int]
) -> Complex[Tensor, "particles z y kx"]:
    """Spectra over the band, equally strong on every shell, scaled so that a volume correlates to 1 with itself."""
    low = crop_spectrum(batch.spectra, box, small)
    shells = half_shells(small)
    inside = (shells >= first_shell) & (shells <= last_shell)
    power: Float[Tensor, "particles shells"] = shell_sums(low.abs().square(), small)
    power = power / shell_sums(torch.ones(inside.shape), small)
    flat = low * power.clamp_min(1e-30).rsqrt()[:, shells.clamp_max(power.shape[1] - 1)] * inside
    # The inverse transform divides by the number of voxels.
    norm = (shell_sums(flat.abs().square(), small).sum(-1) / (small[0] * small[1] * small[2])).sqrt()
    return flat / norm[:, None, None, None]


def _displacement(place: int, box: tuple[int, int, int], small: tuple[int, int, int]) -> tuple[int, int, int]:
    """Where the content of the second lies in the first, in voxels of the particles, (x, y, z)."""
    m, scale = small[0], box[0] / small[0]
    z, y, x = place // m**2, place // m % m, place % m
    dx, dy, dz = (round((c - m // 2) * scale) for c in (x, y, z))
    return dx, dy, dz


def _by_tomogram(particles: ParticleSet) -> Iterator[list[int]]:
    """Rows of each tomogram; of the whole set where the list does not say."""
    if particles.tomograms is None:
        yield list(range(len(particles)))
        return
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(particles.tomograms):
        rows[name].append(row)
    yield from rows.values()


def _crossing(particles: ParticleSet, pairs: list[Pair]) -> int | None:
    """Pairs of which each half has one; None where the list names no halves."""
    if particles.halves is None:
        return None
    return sum(bool(particles.halves[pair.first] != particles.halves[pair.second]) for pair in pairs)


def _write(path: Path, particles: ParticleSet, pairs: list[Pair]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["first", "second", "correlation", *(f"shift_{axis}_angstrom" for axis in "xyz")])
        for pair in sorted(pairs, key=lambda pair: -pair.correlation):
            shift = [f"{step * particles.voxel_size:.1f}" for step in pair.shift]
            names = (cell(particles.names[pair.first]), cell(particles.names[pair.second]))
            writer.writerow([*names, f"{pair.correlation:.4f}", *shift])


def _advice(pairs: list[Pair]) -> tuple[str, ...]:
    if not pairs:
        return ("no two particles share data",)
    return (
        "particles that share data make half-maps agree on noise: keep one of each pair, or whole tomograms in "
        "one half with halves=by_tomogram",
    )
