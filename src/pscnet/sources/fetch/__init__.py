"""Files over the network, unattended: complete, verified and told in words, or a clear error with nothing lost.

The real clients do the talking (cdsapi and its datastores client, earthaccess); this room adds what they lack:
deadlines, patience, resuming, verification, quarantine, and a ledger that survives a killed process.
"""

from __future__ import annotations

from pscnet.sources import SourceError


class FetchError(SourceError):
    """A file could not be fetched; what was fetched before stays."""


class RefusedError(FetchError):
    """The service says no (credentials, licence, impossible request): waiting does not help, a person must act."""


class TooLargeError(RefusedError):
    """The request costs more than the service allows; a smaller one may pass."""


class UnavailableError(FetchError):
    """Patience or a deadline ran out; nothing is lost, and the same command started again goes on from here."""


class DamagedError(FetchError):
    """What came is not what was asked for, again and again; it lies in quarantine with the reason."""


def failure(kind: type[FetchError], what: str, expected: str, found: str, remedy: str) -> FetchError:
    """The error of a fetch, in the form of :func:`pscnet.sources.complaint`.

    Parameters
    ----------
    kind : class
    what : str
        The file or request, such as ``"ERA5-Land 2016-05 instant"``.
    expected, found, remedy : str
        Clauses without a final full stop. They hold no secret: pass what services say through
        :func:`pscnet.sources.fetch.secrets.redact`.
    """
    return kind(f"{what}: expected {expected}; found {found}. {remedy[:1].upper()}{remedy[1:]}.")
