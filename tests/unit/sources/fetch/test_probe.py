"""Verdicts on licences; the services themselves are asked in ``test_doctor``."""

from __future__ import annotations

import pytest
import requests

from pscnet.sources.fetch import probe
from pscnet.sources.fetch.credentials import CdsAccount


@pytest.mark.parametrize(
    ("required", "accepted", "answer"),
    [
        ({"cc-by"}, {"cc-by", "terms"}, "yes"),
        ({"cc-by"}, {"terms"}, "no"),
        ({"another"}, {"cc-by"}, "no"),
        (set(), {"cc-by"}, "yes"),
        (set(), set(), "no"),
        (set(), {"terms"}, "unknown"),  # the catalogue did not tell: no guess that would stop a run
    ],
)
def test_licences(required, accepted, answer):
    assert probe.judge_licences(required, accepted).answer == answer


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([{"rel": "license", "href": "https://store/licences/cc-by/0f.pdf"}, {"rel": "self", "href": "x"}], {"cc-by"}),
        ([{"rel": "license", "href": "elsewhere"}], set()),
        ([{"href": "without rel"}], set()),
        ("no list", set()),
    ],
)
def test_licences_that_the_catalogue_names(monkeypatch, links, expected):
    answer = requests.Response()
    answer.status_code = 200
    answer.json = lambda: {"links": links}
    monkeypatch.setattr(requests.Session, "get", lambda self, url, **options: answer)
    assert probe._required(CdsAccount("https://host/api", "planted", "here")) == expected


def test_what_a_client_says_is_masked(monkeypatch):
    monkeypatch.setenv("CDSAPI_KEY", "planted-key-of-cds")

    def ask() -> probe.Verdict:
        raise RuntimeError("sent planted-key-of-cds")

    verdict = probe._asked(ask, "the key", {})
    assert verdict.answer == "unknown" and "planted" not in verdict.words and "RuntimeError" in verdict.words
