"""Parts of the clients that are used, or stood in for, though they are not public: they are as they were."""

from __future__ import annotations

import inspect

import pytest
from earthaccess.auth import Auth, SessionWithHeaderRedirection
from ecmwf.datastores import Remote

USED = {
    Remote._make_results: ["self", "wait"],
    Auth._get_credentials: ["self", "username", "password", "user_token"],
    Auth._find_or_create_token: ["self"],
    Auth.get_session: ["self"],
    SessionWithHeaderRedirection.__init__: ["self", "edl_hostname", "auth"],
}


@pytest.mark.parametrize("function", USED, ids=lambda function: function.__qualname__)
def test_signatures(function):
    assert list(inspect.signature(function).parameters)[: len(USED[function])] == USED[function]
