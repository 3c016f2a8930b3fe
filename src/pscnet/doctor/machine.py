"""What this machine has: ESMF, a GPU, SLURM, and a way out through proxies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pscnet.config import Config
from pscnet.doctor.findings import Finding, attention, missing, ok, short

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def weight_engine(wanted: str) -> Finding:
    """Whether ESMF makes the regridding weights, or the closed form does (``regrid.engine``)."""
    if wanted == "exact":
        return ok("regridding", "closed form, as configured (regrid.engine: exact); ESMF is not needed")
    from pscnet.regrid import available_engine  # late: xESMF takes a second to import

    engine, reason = available_engine()
    if engine == "xesmf":
        return ok("regridding", "ESMF is there (xesmf imports)")
    if wanted == "xesmf":
        return missing("regridding", f"regrid.engine is xesmf, but {short(reason)}")
    return ok("regridding", "ESMF is not there; weights are made in closed form, which differs by 1e-4 at most")


def devices(config: Config) -> Iterator[Finding]:
    """Whether torch imports, and on which device the net trains and runs."""
    try:
        from pscnet.devices import choose_device
    except (ImportError, OSError) as error:
        yield missing("torch", f"it does not import ({short(str(error))}); install the environment again")
        return
    chosen: dict[str, list[str]] = {}
    for section in ("training", "downscale"):
        name = getattr(config, section).device
        try:
            device = choose_device(name)
        except ValueError as error:
            # A login node often has no GPU though the compute nodes do.
            kind = attention if scheduler() else missing
            yield kind("GPU", f"{section}: {error}")
            continue
        chosen.setdefault(device.type, []).append(section)
    for kind, sections in chosen.items():
        words = "on a GPU" if kind == "cuda" else "on the CPU"
        yield ok("GPU", f"{' and '.join(sections)} run {words}" + ("; torch sees no GPU" if kind == "cpu" else ""))


def scheduler() -> bool:
    """Whether jobs can be handed to SLURM."""
    return shutil.which("sbatch") is not None


def slurm() -> Finding:
    """Whether SLURM is here, and what that means for fetching."""
    if "SLURM_JOB_ID" in os.environ:
        return ok("SLURM", "this is a job; fetching needs a node that reaches the internet")
    if scheduler():
        return ok("SLURM", "sbatch is there; where compute nodes have no internet, fetch on this one first")
    return ok("SLURM", "not here; jobs run on this machine")


def way_out(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that lead connections elsewhere, or change which certificates are trusted."""
    hosts: dict[str, list[str]] = {}
    for name in (name for upper in _PROXIES for name in (upper, upper.lower())):
        if environment.get(name):
            hosts.setdefault("set" if "NO_" in name.upper() else _host(environment[name]), []).append(name)
    proxies = ", ".join(f"{', '.join(names)} ({host})" for host, names in hosts.items())
    yield ok("proxy", f"connections follow {proxies}" if proxies else "no proxy variable is set")
    bundles = {name: environment[name] for name in _CERTIFICATES if environment.get(name)}
    absent = [f"{name} ({path})" for name, path in bundles.items() if not Path(path).exists()]
    if absent:
        yield missing("certificates", f"{', '.join(absent)} does not exist; correct the path, or unset the variable")
    elif bundles:
        yield ok("certificates", ", ".join(f"{name} is {path}" for name, path in bundles.items()))


def _host(url: str) -> str:
    """Host and port of a proxy: never its user name and password."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host = parts.hostname or "no host"
        return f"{host}:{parts.port}" if parts.port else host
    except ValueError:
        return "not an address"
