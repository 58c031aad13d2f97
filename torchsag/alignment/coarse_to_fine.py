"""From candidates to a pose: refined from band to band by SAG with curvature, thinned on the way, judged at the end.

The particles of a batch may be images of several maps, one each: what an average leaves each of its parts to be aligned
to differs in the maps alone, and a batch of all parts costs less than several small ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult
from torchsag.geometry import Symmetry
from torchsag.likelihood.ambiguity import ambiguity
from torchsag.likelihood.contenders import Contenders
from torchsag.likelihood.fisher import noise_variance, pose_covariance, remaining_step
from torchsag.likelihood.fourier_blocks import BlockSums
from torchsag.likelihood.levels import Level
from torchsag.likelihood.modes import most_probable
from torchsag.likelihood.noise_spectrum import residual_spectrum, total_spectrum, whitened
from torchsag.likelihood.observations import Observations, observe
from torchsag.likelihood.posterior import EVALUATIONS, posterior_covariance
from torchsag.particles import ParticleBatch
from torchsag.search.candidates import Candidates, Limits
from torchsag.spectra.fourier_band import FourierBand
from torchsag.timing import stage
from torchsag.trajectory import note

_SAME_ANGLE = math.radians(3.0)  # candidates closer than this after a level have found the same optimum
_SAME_SHIFT = 1.0  # voxels
# Standard errors. The last step is taken from sums that are known anyway; what then is left, about a third of it where
# noise bends the likelihood most, adds at most 2 % to the root mean square error.
_ARRIVED = 1.0
# Standard errors: a last step no longer than this is an improvement. Longer ones, and a choice between contenders by
# what such steps promise, lose poses where the reference is not exact (seen with experiments/paper/cells.py).
_TRUSTED = 1.0


@dataclass(frozen=True)
class CoarseToFine:
    """What is done with the candidates of a batch.

    Attributes
    ----------
    levels
        Bands, coarse to fine.
    by_shell
        The last of them with a block for each shell.
    keep
        Most candidates of one particle that enter each level, from the second on.
    margin
        Loss of log-likelihood against the best at which a candidate is dropped.
    symmetry
        Of the maps.
    excess
        By what the noise's variance is larger than residuals say.
    posterior
        Whether uncertainties are more than bounds.
    modes
        How many poses of a particle results hold; with one, the best alone.
    """

    levels: tuple[Level, ...]
    by_shell: FourierBand
    keep: Sequence[int]
    margin: float
    symmetry: Symmetry
    excess: float = 1.0
    posterior: bool = True
    modes: int = 1

    @property
    def bands(self) -> tuple[int, ...]:
        """The largest shell of each level."""
        return tuple(level.band.max_shell for level in self.levels)

    @staticmethod
    def joined(parts: Sequence[CoarseToFine]) -> CoarseToFine:
        """For images of several maps, numbered as they come here; the parts differ in nothing else."""
        levels = [Level.joined(level) for level in zip(*(part.levels for part in parts), strict=True)]
        return replace(parts[0], levels=tuple(levels))

    def __call__(
        self,
        images: ParticleBatch,
        search: Callable[[ParticleBatch], Candidates],
        maps: Integer[Tensor, " particles"] | None = None,
    ) -> AlignmentResult:
        """Align a batch; `maps` says which map each particle is an image of, where the levels hold several."""
        with stage("transform"):
            measured = [replace(observe(images, level.band), maps=maps) for level in self.levels]
            by_shell = replace(observe(images, self.by_shell), maps=maps)
        with stage("search"):
            candidates = search(images)
        contenders = _contenders(candidates)
        spectrum = total_spectrum(by_shell, self.by_shell)
        observed = whitened(measured[0], self.levels[0].band, spectrum)
        contenders, sums = self.levels[0].measure(observed, contenders, 0)
        spent = torch.zeros_like(contenders.score[: len(images)])
        for number, level in enumerate(self.levels):
            with stage(f"refinement {number + 1}"):
                if number > 0:
                    contenders = self._thin(observed, contenders, self.keep[number - 1])
                    spectrum = self._residual_spectrum(by_shell, contenders)
                    observed = whitened(measured[number], level.band, spectrum)
                moved = _within(candidates.limits, contenders, level.refine(observed, contenders))
                contenders, sums = level.measure(observed, moved, 2 if level is self.levels[-1] else 0)
                spent = spent + self._spent(level, contenders, len(images))
            note(spent.mean(), lambda now=contenders: (now.poses, now.particle))
        with stage("judging"):
            contenders, bounds, left = self._last_step(observed, contenders, sums, candidates.limits)
            result = self._result(observed, contenders, bounds, left, candidates.limits, spent)
            return (
                result if self.modes == 1 else self._with_modes(result, observed, contenders, bounds, candidates.limits)
            )

    def _spent(self, level: Level, contenders: Contenders, count: int) -> Float[Tensor, " particles"]:
        """Evaluations of a level and their judgement, in those of the last band."""
        part = len(level.band) / len(self.levels[-1].band)
        each = torch.bincount(contenders.particle, minlength=count).to(contenders.score)
        return part * (level.passes + 1) * each

    def _residual_spectrum(self, by_shell: Observations, contenders: Contenders) -> Float[Tensor, "particles shells"]:
        best = contenders[contenders.best(len(by_shell))]
        return residual_spectrum(by_shell, self.by_shell, self.levels[-1].table, best.poses, best.particle)

    def _noise_variance(self, observed: Observations, score: Tensor) -> Float[Tensor, " particles"]:
        return noise_variance(observed, score) * self.excess

    def _thin(self, observed: Observations, contenders: Contenders, most: int) -> Contenders:
        best = contenders.score[contenders.best(len(observed))]
        margin = self.margin * self._noise_variance(observed, best)
        return contenders.thin(len(observed), most, margin, _SAME_ANGLE, _SAME_SHIFT, self.symmetry)

    def _last_step(
        self, observed: Observations, contenders: Contenders, sums: BlockSums, limits: Limits
    ) -> tuple[Contenders, Float[Tensor, "contenders 6 6"], Float[Tensor, " contenders"]]:
        """The contenders after one more step, which costs nothing; their bounds; how long it was, in standard errors.

        Where it is short: far from an optimum such a step may lead anywhere. Scores stay those that were measured.
        """
        variance = self._noise_variance(observed, contenders.score[contenders.best(len(observed))])[contenders.particle]
        bounds = pose_covariance(sums, contenders.amplitude, variance)
        step, length = remaining_step(sums, variance, bounds)
        moved = contenders.poses.retract(torch.where((length < _TRUSTED)[:, None], step, 0).to(contenders.poses.shifts))
        taken = (length < _TRUSTED) & limits.allow(moved, contenders.particle)
        return replace(contenders, poses=moved.where(taken, contenders.poses)), bounds, length

    def _result(
        self,
        observed: Observations,
        contenders: Contenders,
        bounds: Float[Tensor, "contenders 6 6"],
        left: Float[Tensor, " contenders"],
        limits: Limits,
        spent: Tensor,
    ) -> AlignmentResult:
        level, best = self.levels[-1], contenders.best(len(observed))
        chosen, covariances = contenders[best], bounds[best]
        variance = self._noise_variance(observed, chosen.score)
        if self.posterior:
            covariances = posterior_covariance(level, observed, chosen.poses, chosen.particle, variance, covariances)
        power = observed.power.sum(-1).clamp_min(torch.finfo(variance.dtype).tiny)
        return AlignmentResult(
            # Of equivalent poses always the same one, whatever rounding preferred.
            poses=replace(
                chosen.poses, rotations=self.symmetry.nearest(chosen.poses.rotations, limits.centres.rotations)
            ),
            scores=chosen.score * power.rsqrt(),
            covariances=covariances,
            ambiguity=ambiguity(contenders, chosen, variance, covariances, _SAME_ANGLE, _SAME_SHIFT, self.symmetry),
            converged=left[best] < _ARRIVED,
            passes=spent + EVALUATIONS * self.posterior,
        )

    def _with_modes(
        self,
        result: AlignmentResult,
        observed: Observations,
        contenders: Contenders,
        bounds: Float[Tensor, "contenders 6 6"],
        limits: Limits,
    ) -> AlignmentResult:
        variance = self._noise_variance(observed, contenders.score[contenders.best(len(observed))])
        # Also of a search near known poses, which were found among all.
        rotations, shifts = 8 * math.pi**2 / self.symmetry.order, 4 / 3 * math.pi * max(limits.shift, 0.5) ** 3
        return replace(result, modes=most_probable(contenders, variance, bounds, rotations * shifts, self.modes))


def _contenders(candidates: Candidates) -> Contenders:
    each = candidates.scores.shape[1]
    scores = candidates.scores.flatten()
    contenders = Contenders.of(candidates.poses, torch.arange(len(candidates.scores), device=scores.device))
    # Repeats that only fill a row are worth nothing, but a particle must keep its first candidate.
    first = torch.arange(len(scores), device=scores.device) % each == 0
    return contenders[scores.isfinite() | first]


def _within(limits: Limits, before: Contenders, after: Contenders) -> Contenders:
    """What refinement led out of the limits stays where it was."""
    allowed = limits.allow(after.poses, after.particle)
    return replace(after, poses=after.poses.where(allowed, before.poses), converged=after.converged & allowed)
