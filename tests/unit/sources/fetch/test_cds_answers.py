"""What the Climate Data Store says, understood: each refusal tells a person what to do."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import pytest
import requests

from pscnet.sources.fetch import FetchError, RefusedError, TooLargeError
from pscnet.sources.fetch.cds_answers import (
    GoneError,
    ended,
    explain,
    job_verdict,
    plausible,
    proven,
    said,
    same_request,
    verdict,
)

WHAT = "era5_land_2016-05_instant"


def refusal(status: int, body: dict | str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code, response.reason = status, "Reason"
    response._content = (body if isinstance(body, str) else json.dumps(body)).encode()
    return requests.HTTPError("an address with secrets", response=response)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"title": "authentication failed"}, RefusedError, ["personal access token", "/profile"]),
        (403, {"title": "required licences not accepted"}, RefusedError, ["#manage-licences"]),
        (403, {"title": "cost limits exceeded", "detail": "Your request is too large"}, TooLargeError, ["max_fields"]),
        (403, {"title": "permission denied", "detail": "maintenance"}, RefusedError, ["maintenance", "later"]),
        (404, {"title": "process not found"}, RefusedError, ["reanalysis-era5-land"]),
        (404, {"title": "job not found"}, GoneError, ["job not found"]),
        (404, {"title": "results expired"}, GoneError, ["expired"]),
        (404, "<html>nothing here</html>", RefusedError, ["CDSAPI_URL"]),
        (400, {"title": "The job has failed", "traceback": "RuntimeError: tape"}, GoneError, ["tape"]),
        (400, {"title": "invalid request", "detail": "no such day"}, RefusedError, ["no such day", "API request code"]),
        (422, {"title": "invalid parameter"}, RefusedError, ["invalid parameter"]),
    ],
)
def test_refusals_say_what_to_do(status, body, kind, words):
    error = explain(refusal(status, body), WHAT, "job-1" if kind is GoneError else None)
    assert type(error) is kind
    for word in words:
        assert word in str(error)
    if isinstance(error, FetchError):
        assert str(error).startswith(f"{WHAT}: expected ")
    assert "secrets" not in str(error)


@pytest.mark.parametrize(
    ("status", "reason", "kind", "words"),
    [
        ("failed", "MultiAdaptorNoDataError: None of the data", RefusedError, "end the period earlier"),
        ("failed", "RuntimeError: tape", GoneError, "tape"),
        ("failed", "Your request is too large", TooLargeError, "too large"),
        ("rejected", "number of queued requests per user is limited", GoneError, "number of queued requests"),
        ("rejected", "the system is temporarily overloaded", GoneError, "for now"),
        ("rejected", "your account may not use this dataset", RefusedError, "may not use"),
        ("rejected", "cost limits exceeded", TooLargeError, "cost limits"),
    ],
)
def test_bad_ends_of_jobs(status, reason, kind, words):
    error = ended(WHAT, status, reason)
    assert type(error) is kind
    assert words.lower() in str(error).lower()


@pytest.mark.parametrize(
    ("status", "body", "passes"),
    [
        (404, "<html>nothing here</html>", True),
        (403, "<html>maintenance</html>", True),
        (403, {"title": "permission denied", "detail": "the system is under maintenance"}, True),
        (403, {"title": "permission denied", "detail": "your account is blocked"}, False),
        (404, {"detail": "Not Found"}, True),
        (404, {"title": "not found", "detail": "no such job of yours"}, False),
    ],
)
def test_only_the_service_itself_ends_a_job_in_so_many_words(status, body, passes):
    error = refusal(status, body)
    assert (job_verdict(error) is not None) is passes
    assert type(explain(error, WHAT, "job-1")) is RefusedError


@pytest.mark.parametrize("title", ["job not found", "results expired", "The job has failed"])
def test_no_job_is_gone_where_none_was_asked_about(title):
    status = 400 if "failed" in title else 404
    assert type(explain(refusal(status, {"title": title}), WHAT)) is RefusedError


def test_long_tracebacks_keep_their_beginning_and_end():
    text = said(refusal(400, {"title": "The job has failed", "traceback": "line\n" * 500 + "RuntimeError: the end"}))
    assert text.startswith("The job has failed; line line") and text.endswith("RuntimeError: the end")
    assert len(text) < 500


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (refusal(404, {"title": "job results not ready"}), True),
        (refusal(404, {"title": "results expired"}), False),
        (refusal(503, "<html>"), True),
        (refusal(403, {"title": "permission denied"}), False),
        (KeyError("jobs"), True),
        (GoneError("gone"), False),
        (RefusedError("no"), False),
    ],
)
def test_what_passes_by_itself(error, passes):
    assert (verdict(error) is not None) is passes


OURS = {
    "variable": ["b", "a"],
    "year": "2016",
    "day": ["01", "02"],
    "time": ["00:00"],
    "area": [40.0, 73.0, 25.0, 105.0],
}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"variable": ["a", "b"]}, True),
        ({"year": ["2016"], "day": [1, 2], "time": "00:00"}, True),
        ({"area": ["40", 73, 25, 105]}, True),
        ({"area": [25, 73, 40, 105]}, False),
        ({"variable": ["a"]}, False),
        ({"variable": ["a", "b", "c"]}, False),
        ({"day": ["01", "02", "03"]}, False),
        ({"added_by_the_service": "x"}, True),
    ],
)
def test_same_request_however_it_is_written(change, same):
    assert same_request(OURS, {**OURS, **change}) is same


def test_request_without_one_of_our_keys_is_another():
    assert not same_request(OURS, {name: value for name, value in OURS.items() if name != "time"})


MD5, PARTS = hashlib.md5(b"0").hexdigest(), "0" + hashlib.md5(b"1").hexdigest()[1:]


@pytest.mark.parametrize(
    ("announced", "etag", "is_proven", "is_plausible"),
    [
        (None, None, False, True),
        (None, f'"{MD5}"', True, False),
        (None, f'"{PARTS}-1"', True, False),
        (None, f'"{"f" * 32}"', False, False),  # a hash over other bytes
        (None, f'"{"f" * 32}-7"', False, True),
        (MD5, None, True, False),
        (MD5.upper(), None, True, False),
        (PARTS.lstrip("0"), f'"{PARTS}-1"', True, False),
        ("f" * 32, f'"{MD5}"', False, False),
        ("f" * 32, f'"{"f" * 32}"', False, False),  # an MD5 by its form, and not that of the bytes
        ("f" * 32, f'"{"f" * 32}-1"', False, False),  # one part of 50 MiB: it could be recomputed, and is another
        ("f" * 32, f'"{"f" * 32}-7"', False, True),  # parts of another size: the store says that it is this object
        ("f" * 32, f'"{"e" * 32}-7"', False, False),
    ],
)
def test_checksums(announced, etag, is_proven, is_plausible):
    received = SimpleNamespace(md5=MD5, part_md5s=PARTS, size=100, etag=etag)
    assert proven(received, announced) is is_proven
    assert is_proven or plausible(received, announced, 100) is is_plausible
    assert not plausible(received, announced, 101)
