"""All results of a sweep as a table of pandas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torchsag.errors import InputError
from torchsag.sweeps.table import results_below

if TYPE_CHECKING:
    import pandas  # pyright: ignore[reportMissingTypeStubs]


def results(folder: str | Path) -> pandas.DataFrame:
    """One row for each result below a folder, with everything known of it.

    Parameters
    ----------
    folder
        ``out`` of a sweep (``-m``), of a run, or a folder of runs.

    Returns
    -------
    The settings that vary by their keys; ``error`` and ``merit``; what was found, as in ``metrics.json``; seed, device,
    versions of packages and commits of checkouts. A comparison has a row for each method and trial, everything else one
    for each job.

    Raises
    ------
    InputError
        If there are no results, or pandas is not installed.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"results: expected the folder of a sweep or of a run, got {folder}: no such folder")
    rows = results_below(path)
    try:
        import pandas  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise InputError("results: expected pandas to make the table of; pip install 'torchsag[table]'") from error
    return pandas.DataFrame(rows)
