"""Provider files in, clean grids out: every format quirk of ERA5-Land, SMAP, elevation and region files ends here."""

from __future__ import annotations

from pathlib import Path


class SourceError(ValueError):
    """A provider file, or the set of them, is not what was asked for."""


def complaint(file: str | Path, expected: str, found: str, remedy: str) -> SourceError:
    """The error for a file that cannot be used: which file, what was expected, what was found and what to do.

    Parameters
    ----------
    file : str or Path
        The file, or a name for a set of files (``"ERA5-Land 2016-05"``).
    expected, found, remedy : str
        Clauses without a final full stop.

    Returns
    -------
    SourceError
        To be raised by the caller: ``raise complaint(...)``.
    """
    return SourceError(f"{file}: expected {expected}; found {found}. {remedy[:1].upper()}{remedy[1:]}.")
