"""How patient, how many at once, how much: the configuration's section ``fetch`` as the fetchers use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Patience:
    """When to try again, and when no longer.

    Attributes
    ----------
    first_wait, longest_wait : float
        Pause after the first failure, and the longest one [s]; doubled in between, with jitter.
    give_up_after : float
        Time without any success after which a step fails [s].
    stall : float
        Longest silence of a connection, and the window over which ``slowest`` is judged [s].
    slowest : float
        Slowest acceptable transfer [byte/s].
    """

    first_wait: float = 5.0
    longest_wait: float = 600.0
    give_up_after: float = 86_400.0
    stall: float = 60.0
    slowest: float = 1000.0


@dataclass(frozen=True)
class Settings:
    """The section ``fetch`` of the configuration.

    Attributes
    ----------
    patience : Patience
    requests_at_once : int
        CDS requests queued or running at one time, over all jobs that share the archive.
    deadline : float
        Longest time that one CDS request may take in one run [s].
    max_fields : int
        Largest CDS request [fields: variables x days x times].
    downloads_at_once : int
        Earthdata downloads at one time, over all jobs that share the archive.
    versions : dict of str to str
        SMAP product to version.
    l4_variables : tuple of str
        Datasets kept of SPL4SMGP.
    without : tuple of str
        Days, ``YYYY-MM-DD``, whose SMAP granules are not wanted.
    reserve : int
        Room to leave free on the disk [byte].
    """

    patience: Patience = Patience()
    requests_at_once: int = 2
    deadline: float = 259_200.0
    max_fields: int = 4000
    downloads_at_once: int = 3
    versions: Mapping[str, str] = None
    l4_variables: tuple[str, ...] = ("sm_surface",)
    without: tuple[str, ...] = ()
    reserve: int = 5 * 10**9

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Settings:
        """From the section as plain values (:class:`pscnet.config.Fetch`)."""
        retry, era5, smap = section["retry"], section["era5_land"], section["smap"]
        patience = Patience(
            retry["first_wait_seconds"],
            retry["longest_wait_seconds"],
            retry["give_up_after_hours"] * 3600.0,
            retry["stall_seconds"],
            retry["slowest_bytes_per_second"],
        )
        return cls(
            patience,
            era5["requests_at_once"],
            era5["deadline_hours"] * 3600.0,
            era5["max_fields"],
            smap["downloads_at_once"],
            dict(smap["versions"]),
            tuple(smap["l4_variables"]),
            tuple(smap["without"]),
            int(section["reserve_gb"] * 1e9),
        )
