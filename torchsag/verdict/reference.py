"""Checks of a reference: contrast, hand, centring, and whether the particles know it at all.

Faults mimic each other: particles off the centre match the rim of an inverted map, a mirror image is a little like the
map. So the accounts of a sample compete (`torchsag.verdict.sample.Matches.accounts`), and only the one that explains it
best can be found wrong; it must also explain it better than maps that mean nothing, or it is chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.verdict.chance import LEAST_SAMPLE, means_something, paired_p, paired_t
from torchsag.verdict.finding import Finding
from torchsag.verdict.sample import Matches, SearchRadius


@dataclass(frozen=True)
class ContrastOpposite:
    """Particles and reference of opposite sign, all of them or some.

    Attributes
    ----------
    most_p
        How seldom chance may make the sample prefer the inverted reference by as much.
    meaningless_p
        How seldom chance may put the inverted reference above inverted maps that mean nothing.
    least_margin
        By how many standard deviations of noise a single particle must do so, beyond any other account of it.
    least_particles
        How many such particles are a finding where the sample as a whole is right.
    """

    most_p: float = 0.005
    meaningless_p: float = 0.02
    least_margin: float = 4.0
    least_particles: int = 2
    code: str = "contrast_opposite"

    def __call__(self, matches: Matches) -> Finding | None:
        """Judge a sample."""
        p = paired_p(matches.inverted, matches.reference)
        others = torch.stack([scores for name, scores in matches.accounts().items() if name != "inverted"]).amax(0)
        single = int((matches.inverted - others > self.least_margin).sum())
        count = len(matches.reference)
        evidence = {"sample": count, "prefer_inverted": single, "p": p}
        clear = p < self.most_p and means_something(matches.inverted, matches.meaningless, self.meaningless_p)[0]
        if (matches.likeliest == "inverted" and clear) or (count < LEAST_SAMPLE and single == count):
            text = (
                f"particles and reference have opposite contrast: {single} of {count} particles looked at match the "
                "inverted reference clearly better; invert the reference or the particles (multiply by -1)"
            )
            return Finding(self.code, "wrong", text, evidence)
        if single >= self.least_particles and matches.likeliest != "inverted":
            text = (
                f"{single} of {count} particles looked at match the inverted reference clearly better: the contrast of "
                "some particles is opposite; invert these"
            )
            return Finding(self.code, "doubt", text, evidence)
        return None


@dataclass(frozen=True)
class HandOpposite:
    """A mirrored reference.

    Attributes
    ----------
    most_p
        How seldom chance may make the sample prefer the mirror image by as much.
    meaningless_p
        How seldom chance may put the mirror image above maps that mean nothing.
    least_evidence
        Log-likelihood by which it must do so: of a map without a hand the two differ by rounding, however regularly.
    """

    most_p: float = 0.005
    meaningless_p: float = 0.02
    least_evidence: float = 20.0
    code: str = "hand_opposite"

    def __call__(self, matches: Matches) -> Finding | None:
        """Judge a sample."""
        if matches.likeliest != "mirrored":
            return None
        p = paired_p(matches.mirrored, matches.reference)
        # Half the square of a matched filter is the log-likelihood that its pose explains.
        evidence = float((matches.mirrored.double().square() - matches.reference.double().square()).sum()) / 2
        meant, _, _ = means_something(matches.mirrored, matches.meaningless, self.meaningless_p)
        if p >= self.most_p or evidence <= self.least_evidence or not meant:
            return None
        text = (
            "the particles match the mirror image of the reference better: the hand of the reference, or of the "
            "tomograms, is wrong; flip one of them"
        )
        means = {"score": float(matches.reference.mean()), "score_mirrored": float(matches.mirrored.mean())}
        sample = {"sample": len(matches.reference), "p": p, "log_likelihood": evidence}
        return Finding(self.code, "wrong", text, {**sample, **means})


@dataclass(frozen=True)
class ShiftsAtSearchRadius:
    """Particles farther off than the search of shifts goes.

    A wider search always finds something that fits a little better. How much it gains on noise in place of each
    particle is taken off; where it gains on half of the particles, and regularly, they are elsewhere. A gain that
    another account of the particles explains better, such as an inverted reference, is none.

    Attributes
    ----------
    least_margin
        By how many standard deviations of noise a single particle must match better outside.
    some, most
        Parts of the sample from which on this is doubted, and wrong. A neighbour within the box is met outside too.
    most_p
        How seldom chance may make the whole sample gain as much as it does,
    least_gain
        and by how many standard deviations half of it must gain more than noise, for this to be wrong too.
    """

    least_margin: float = 3.0
    some: float = 0.15
    most: float = 0.5
    most_p: float = 0.005
    least_gain: float = 1.0
    code: str = "shifts_at_search_radius"

    def __call__(self, matches: Matches, radius: SearchRadius) -> Finding | None:
        """Judge a sample that was searched within a radius."""
        accounts = matches.accounts()
        if matches.wider is None or "outside" not in accounts:
            return None
        gain, of_noise = matches.wider
        better = accounts["outside"] > torch.maximum(matches.inverted, matches.mirrored)
        outside, count = int(((gain > self.least_margin) & better).sum()), len(gain)
        p, median = paired_p(gain, of_noise), float((gain - of_noise).median())
        regular = matches.likeliest == "outside" and p < self.most_p and median > self.least_gain
        seen = max(outside, int((gain - of_noise > self.least_gain).sum())) if regular else outside
        many = outside >= max(2, self.some * count) or (count < LEAST_SAMPLE and outside == count)
        if not regular and not many:
            return None
        text = (
            f"{seen} of {count} particles looked at match better beyond the radius of the "
            f"search, {radius.key}={radius.fraction:g} of the box, than within: give their centres in the list "
            f"(rlnOrigin...Angst), cut them out anew, or raise {radius.key}"
        )
        evidence = {
            "sample": count, "better_outside": seen, "max_shift": radius.fraction, "p": p, "median_gain": median,
        }  # fmt: skip
        return Finding(self.code, "wrong" if regular or outside >= self.most * count else "doubt", text, evidence)


@dataclass(frozen=True)
class NoBetterThanNoise:
    """Particles that match a map no better than noise of the same power does.

    Attributes
    ----------
    least_t
        By how many standard errors they must match better.
    least_sample
        Fewer particles than this tell nothing.
    """

    least_t: float = 3.5
    least_sample: int = 3
    code: str = "no_better_than_chance"

    def __call__(self, scores: Float[Tensor, " sample"], noise: Float[Tensor, " sample"]) -> Finding | None:
        """Judge scores of particles, and of noise in place of each."""
        t = paired_t(scores, noise)
        if len(scores) < self.least_sample or t >= self.least_t:
            return None
        text = (
            "the particles match the reference no better than noise of the same power does: there is nothing of the "
            "reference in them that this can see; do not use these poses"
        )
        means = {"score": float(scores.mean()), "score_of_noise": float(noise.mean())}
        return Finding(self.code, "wrong", text, {"sample": len(scores), "t": t, **means})


@dataclass(frozen=True)
class NoBetterThanChance:
    """A reference that fits the particles no better than maps that mean nothing.

    Attributes
    ----------
    most_p
        How often chance may make a meaningless map as good, by pairs of particles or among the maps.
    """

    most_p: float = 0.02
    code: str = "no_better_than_chance"

    def __call__(self, matches: Matches) -> Finding | None:
        """Judge a sample."""
        noise = NoBetterThanNoise()(matches.reference, matches.noise)
        if noise is not None:
            return noise
        meant, t, spread = means_something(matches.reference, matches.meaningless, self.most_p)
        if meant:
            return None
        evidence = {
            "sample": len(matches.reference),
            "score": float(matches.reference.mean()),
            "score_of_meaningless_maps": float(matches.meaningless.mean()),
            "t": t,
            "spread": spread,
        }
        text = (
            "the reference matches the particles no better than meaningless maps of the same size and power: is it "
            "the right structure, at the right voxel size? Poses that follow are chance"
        )
        return Finding(self.code, "wrong" if t <= 0 else "doubt", text, evidence)
