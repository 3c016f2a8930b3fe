"""The real cdsapi client, without its patience, its bars and its messages."""

from __future__ import annotations

import logging
import threading
import warnings

import cdsapi
from ecmwf.datastores import Client

from pscnet.sources.fetch.credentials import CdsAccount
from pscnet.sources.fetch.secrets import redact
from pscnet.sources.fetch.sessions import Session
from pscnet.sources.fetch.settings import Patience

LOG = logging.getLogger(__name__)

#: Pauses between looks at the queue grow to this [s].
LONGEST_POLL = 120.0

_CONSTRUCTION = threading.Lock()  # warnings.catch_warnings is for one thread at a time


def connect(account: CdsAccount, patience: Patience) -> Client:
    """The datastores client of a cdsapi client which tries once, says nothing and deletes nothing."""

    def drop(*_: object, **__: object) -> None:
        """The client's debug messages hold the key."""

    def tell(message: object, *_: object, **__: object) -> None:
        LOG.warning("CDS: %s", redact(str(message)))

    with _CONSTRUCTION, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the service's messages could not be read: no harm
        return cdsapi.Client(
            url=account.url,
            key=account.key,
            quiet=True,
            progress=False,
            delete=False,
            verify=True,
            timeout=patience.stall,
            retry_max=1,
            sleep_max=min(patience.longest_wait, LONGEST_POLL),
            info_callback=drop,
            debug_callback=drop,
            warning_callback=tell,
            error_callback=tell,
            session=Session(account.url, patience),
        ).client
