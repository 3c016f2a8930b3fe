"""Which accounts are configured, and where: found as the real clients find them, and told in words when missing."""

from __future__ import annotations

import base64
import binascii
import json
import netrc
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from pscnet.sources.fetch import RefusedError, failure

CDS_URL = "https://cds.climate.copernicus.eu/api"
CDS_PROFILE = "https://cds.climate.copernicus.eu/profile"
EARTHDATA_HOST = "urs.earthdata.nasa.gov"
EARTHDATA_TOKENS = f"https://{EARTHDATA_HOST}/profile, Generate Token"

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class CdsAccount:
    """An account of the Climate Data Store.

    Attributes
    ----------
    url : str
        Of the API, without slash at its end.
    key : str
        The personal access token; never shown.
    where : str
        Where the key was found, in words.
    """

    url: str
    key: str = field(repr=False)
    where: str


@dataclass(frozen=True)
class EarthdataAccount:
    """An account of NASA Earthdata Login.

    Attributes
    ----------
    strategy : {"environment", "netrc"}
        As earthaccess calls it.
    where : str
        Where it was found, in words.
    token : str or None
        A bearer token, when that is what is configured; never shown.
    user : str or None
        The user name, when name and password are configured.
    expires : datetime or None
        When the token ends, where it says so (UTC).
    """

    strategy: str
    where: str
    token: str | None = field(default=None, repr=False)
    user: str | None = None
    expires: datetime | None = None


def cds_account() -> CdsAccount:
    """The account that cdsapi would use: ``CDSAPI_URL`` and ``CDSAPI_KEY``, else the file ``~/.cdsapirc``.

    Raises
    ------
    RefusedError
        No key, a key of the retired form, or an address to which no key should go.
    """
    path = Path(os.environ.get("CDSAPI_RC") or Path.home() / ".cdsapirc")
    key, url = os.environ.get("CDSAPI_KEY", "").strip(), os.environ.get("CDSAPI_URL", "").strip()
    entries = {} if key and url else _entries(path)
    where = "the environment variable CDSAPI_KEY" if key else str(path)
    key = key or entries.get("key", "")
    from_file = not url
    url = (url or entries.get("url", "") or CDS_URL).rstrip("/")
    if not key:
        raise _cds("a key", f"neither the environment variable CDSAPI_KEY nor a line 'key:' in {path}", _new_key(path))
    if ":" in key:
        raise _cds("a personal access token", f"a key of the retired form 'number:key' in {where}", _new_key(path))
    if len(key.split()) != 1 or not key.isprintable() or not key.isascii():
        raise _cds("a personal access token in one word", f"spaces or special characters in {where}", _new_key(path))
    place = f"{path}" if from_file else "the environment variable CDSAPI_URL"
    _check_url(url, place)
    if entries.get("verify", "1") in ("0", "false", "False"):
        raise _cds(
            "a connection whose certificate is verified, as the key goes over it",
            f"'verify: {entries['verify']}' in {path}",
            "take the line out, and where a proxy uses certificates of its own name them in REQUESTS_CA_BUNDLE",
        )
    return CdsAccount(url, key, where)


def _entries(path: Path) -> dict[str, str]:
    """The lines ``name: value`` of the file of cdsapi."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) else "bytes that are no text"
        raise _cds(f"a readable file {path}", f"{found}", f"check its permissions, or {_new_key(path)}") from None
    pairs = (line.strip().split(":", 1) for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _check_url(url: str, place: str) -> None:
    parts = urlsplit(url)
    remedy = f"write {CDS_URL} in {place}"
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise _cds("an https address of the API, as the key goes there", f"another one in {place}", remedy)
    if parts.username or parts.password or parts.query or not parts.hostname:
        raise _cds(
            f"an address such as {CDS_URL}", f"one without host, or with a user name or query, in {place}", remedy
        )
    if parts.path.rstrip("/").endswith("/v2"):
        raise _cds("the address of the present API", f"that of the retired one (/api/v2) in {place}", remedy)


def _new_key(path: Path) -> str:
    return (
        f"log in at {CDS_PROFILE}, copy the personal access token, and put it into {path} as the line 'key: <token>' "
        f"below the line 'url: {CDS_URL}', or into the environment variable CDSAPI_KEY"
    )


def _cds(expected: str, found: str, remedy: str) -> Exception:
    return failure(RefusedError, "account of the Climate Data Store", expected, found, remedy)


def earthdata_account() -> EarthdataAccount:
    """The account that earthaccess would use: the environment, else the file ``~/.netrc``; never a prompt.

    ``EARTHDATA_TOKEN`` goes before ``EARTHDATA_USERNAME`` and ``EARTHDATA_PASSWORD``, these before the file that
    ``NETRC`` names. Whether a token is still valid is for the caller to see in ``expires``.

    Raises
    ------
    RefusedError
        None is configured, or it is incomplete.
    """
    token = os.environ.get("EARTHDATA_TOKEN", "").strip()
    if token:
        where = "the environment variable EARTHDATA_TOKEN"
        return EarthdataAccount("environment", where, token, None, token_expiry(token))
    user, password = os.environ.get("EARTHDATA_USERNAME", ""), os.environ.get("EARTHDATA_PASSWORD", "")
    if user and password:
        where = "the environment variables EARTHDATA_USERNAME and EARTHDATA_PASSWORD"
        return EarthdataAccount("environment", where, None, user)
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    login = _netrc_login(path)
    if login is not None:
        return EarthdataAccount("netrc", str(path), None, login)
    found = "only one of EARTHDATA_USERNAME and EARTHDATA_PASSWORD" if user or password else "no such variable"
    raise _earthdata(
        "EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or an entry of a netrc file",
        f"{found}, and no entry for {EARTHDATA_HOST} in {path}",
        f"make an account at https://{EARTHDATA_HOST}/users/new and put the line 'machine {EARTHDATA_HOST} login "
        f"<name> password <password>' into {path} (chmod 600), or set EARTHDATA_TOKEN to a token from "
        f"{EARTHDATA_TOKENS}",
    )


def _netrc_login(path: Path) -> str | None:
    """The user name that a netrc file has for Earthdata, if it has one with password."""
    try:
        entry = netrc.netrc(path).hosts.get(EARTHDATA_HOST)
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as error:
        # The parser's own message quotes the word it stumbles over, which may be the password.
        raise _earthdata(
            f"entries 'machine ... login ... password ...' in {path}",
            f"something else at its line {error.lineno}",
            "mend the line, and put a password with special characters into double quotes",
        ) from None
    except (OSError, UnicodeDecodeError):
        raise _earthdata(f"a readable text file {path}", "one that cannot be read", "check its permissions") from None
    return entry[0] if entry and entry[0] and entry[2] else None


def _earthdata(expected: str, found: str, remedy: str) -> Exception:
    return failure(RefusedError, "account of NASA Earthdata Login", expected, found, remedy)


def token_expiry(token: str) -> datetime | None:
    """When a JSON Web Token ends (RFC 7519, claim ``exp``), or None where it does not say so.

    Parameters
    ----------
    token : str

    Returns
    -------
    datetime or None
        UTC. The signature is not checked: that is for the service to do.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, OSError):
        return None
