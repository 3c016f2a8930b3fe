"""HTTP sessions that keep credentials to those they are for: no netrc file, and no key for another host.

Proxies and certificates come from the environment as ever.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

import requests

from pscnet.sources.fetch import RefusedError, failure
from pscnet.sources.fetch.secrets import public_url

LOG = logging.getLogger(__name__)

#: Headers that say who asks; they go to the host that was asked first, and to no other.
CREDENTIALS = ("Authorization", "PRIVATE-TOKEN")


class Session(requests.Session):
    """A session that reads no netrc file, and whose credentials do not follow redirects to other hosts.

    Parameters
    ----------
    home : str, optional
        URL of the service for which the credentials are; to other hosts requests go without, also when the service
        itself names them in its answers.
    """

    def __init__(self, home: str | None = None) -> None:
        super().__init__()
        self._home = home
        self.auth = _as_it_is  # without any, requests looks into the netrc file

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As of requests, without the credentials where they do not belong."""
        if self._home is not None and self.should_strip_auth(self._home, request.url) and _strip(request):
            LOG.warning("no credentials are sent to %s: they are for %s", _origin(request.url), _origin(self._home))
        return super().send(request, **options)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Send credentials to no other host, and nothing else in their place.

        Raises
        ------
        RefusedError
            The redirect leads from an encrypted connection to one that is not.
        """
        before, after = response.request.url, prepared_request.url
        if urlsplit(before).scheme == "https" and urlsplit(after).scheme != "https":
            raise failure(
                RefusedError,
                public_url(before),
                "an encrypted connection to the end",
                f"a redirect to {public_url(after)}",
                "check the address, and whether a proxy in between is meant to be there",
            )
        if self.should_strip_auth(before, after):
            _strip(prepared_request)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An authentication that adds nothing."""
    return request


def _strip(request: requests.PreparedRequest) -> bool:
    """Take the credentials away; whether there were any."""
    return any([request.headers.pop(name, None) is not None for name in CREDENTIALS])


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
