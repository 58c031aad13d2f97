"""Tomograms and tilt series of which some may be missing or damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from torchsag.errors import InputError

Source = TypeVar("Source")


def usable_sources(
    names: Iterable[str], look: Callable[[str], Source], skip_bad: bool
) -> tuple[dict[str, Source], dict[str, str]]:
    """What a look at each named source finds, and what is wrong with the others, by name.

    Parameters
    ----------
    names
        Of tomograms, as particles name them; a name may come several times.
    look
        Raises InputError for a source that is missing or damaged.
    skip_bad
        Whether particles of such a source are to be set aside instead of ending the run.

    Raises
    ------
    InputError
        If a source cannot be used and `skip_bad` is false, or if none can.
    """
    found: dict[str, Source] = {}
    unusable: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = look(name)
        except InputError as error:
            if not skip_bad:
                raise InputError(f"{error}; or add skip_bad=true to set its particles aside") from error
            unusable[name] = str(error)
    if unusable and not found:
        raise InputError(
            f"not one of {len(unusable)} tomograms could be used; the first: {next(iter(unusable.values()))}"
        )
    return found, unusable
