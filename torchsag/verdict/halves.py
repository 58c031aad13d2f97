"""Checks of half-sets: are the halves of this run those in which the listed poses were found?"""

from __future__ import annotations

from dataclasses import dataclass

from torchsag.verdict.finding import Finding


@dataclass(frozen=True)
class HalvesOfListedPoses:
    """Halves that are drawn anew although the list has some, or poses without halves.

    Attributes
    ----------
    used_code, redrawn_code, leak_code
        See `Finding`.
    """

    used_code: str = "halves_listed"
    redrawn_code: str = "halves_redrawn"
    leak_code: str = "halves_leak"

    def __call__(self, listed_halves: bool, used: bool, starts_from_listed_poses: bool) -> Finding | None:
        """Judge a run.

        Parameters
        ----------
        listed_halves
            Whether the list names half-sets.
        used
            Whether the run uses them.
        starts_from_listed_poses
            Whether its first averages come from the list's poses.
        """
        if listed_halves and not used:
            text = (
                "the list's half-sets were not used and are overwritten: if its poses come from a gold-standard "
                "refinement the halves are not independent any more; use halves=listed"
            )
            return Finding(self.redrawn_code, "doubt" if starts_from_listed_poses else "note", text)
        if listed_halves:
            return Finding(self.used_code, "note", "the half-sets of the list were used")
        if starts_from_listed_poses:
            text = (
                "the run starts from listed poses without half-sets: if these were refined together the halves share "
                "a reference up to the low-pass of the first references"
            )
            return Finding(self.leak_code, "note", text)
        return None
