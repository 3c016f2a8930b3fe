"""The small internet behaves as the large one does, and lets nobody out."""

from __future__ import annotations

import socket
import time

import pytest
import requests

from tests.servers.internet import Answer, Internet, Request, ranged

CONTENT = bytes(range(256)) * 4000
ETAG = '"abc"'


class Files:
    """A service with one file behind several kinds of connection."""

    hosts = ("files.example.org", "other.example.org")

    def answer(self, request: Request) -> Answer:
        if request.path == "/echo":
            return Answer(200, request.host.encode() + request.body, {"X-Query": str(dict(request.query))})
        answer = ranged(request, CONTENT, ETAG, ranges=request.path != "/no-ranges")
        if request.path == "/cut":
            answer.cut_after = 1000
        elif request.path == "/unannounced":
            answer.cut_after, answer.announce = 1000, False
        elif request.path == "/stall":
            answer.stall_after = 1000
        elif request.path == "/vanish":
            answer.vanish = True
        elif request.path == "/slow":
            answer = Answer(200, CONTENT[:5000], pace=20_000)
        return answer


@pytest.fixture
def files(net):
    return net(Files())


def get(path: str, host: str = "files.example.org", **options) -> requests.Response:
    return requests.get(f"https://{host}{path}", timeout=5, **options)


def test_names_lead_to_their_service_with_trusted_certificates(files):
    reply = requests.post("https://other.example.org/echo?a=1&a=2&b=", data=b"body", timeout=5)
    assert reply.content == b"other.example.orgbody"
    assert reply.headers["X-Query"] == "{'a': ['1', '2'], 'b': ['']}"
    with pytest.raises(requests.exceptions.SSLError):
        session = requests.Session()
        session.trust_env = False  # the proxy, but not the certificate
        session.proxies = {"https": files.proxy}
        session.get("https://files.example.org/", timeout=5)


def test_whole_file_and_ranges(files):
    assert get("/").content == CONTENT
    part = get("/", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"
    rest = get("/", headers={"Range": f"bytes={len(CONTENT) - 5}-", "If-Range": ETAG})
    assert (rest.status_code, rest.content) == (206, CONTENT[-5:])


def test_ranges_give_way_to_the_whole_file_when_it_has_changed_or_none_are_offered(files):
    changed = get("/", headers={"Range": "bytes=100-", "If-Range": '"old"'})
    assert (changed.status_code, changed.content) == (200, CONTENT)
    without = get("/no-ranges", headers={"Range": "bytes=100-"})
    assert (without.status_code, "Accept-Ranges" in without.headers) == (200, False)
    beyond = get("/", headers={"Range": f"bytes={len(CONTENT)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


def test_head_tells_the_length_only(files):
    reply = requests.head("https://files.example.org/", timeout=5)
    assert (reply.headers["Content-Length"], reply.headers["Accept-Ranges"]) == (str(len(CONTENT)), "bytes")
    assert files.log[-1].sent == 0


def test_announced_cut_is_seen_and_an_unannounced_one_is_not(files):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get("/cut")
    assert len(get("/unannounced").content) == 1000
    assert [record.sent for record in files.log] == [1000, 1000]


def test_stall_lasts_until_the_client_gives_up(files):
    start = time.monotonic()
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get("https://files.example.org/stall", timeout=(10, 2))
    assert 1.5 < time.monotonic() - start < 60


def test_vanished_answer_is_a_connection_error(files):
    with pytest.raises(requests.exceptions.ConnectionError):
        get("/vanish")


def test_pace_is_kept(files):
    start = time.monotonic()
    assert len(get("/slow").content) == 5000
    assert time.monotonic() - start > 0.2


def test_connections_are_kept_alive(files):
    with requests.Session() as session:
        for _ in range(3):
            session.get("https://files.example.org/echo", timeout=5)
        assert len(session.get_adapter("https://").poolmanager.pools) <= 1
    assert len(files.log) == 3


@pytest.mark.parametrize(
    "url", ["https://elsewhere.example.org/", "http://files.example.org/", "http://plain.example.org/"]
)
def test_unknown_hosts_and_plain_http_are_refused_and_written_down(files, url):
    if url.startswith("https"):
        with pytest.raises(requests.exceptions.ProxyError):
            requests.get(url, timeout=5)
        assert files.refused == ["elsewhere.example.org"]
    else:
        assert requests.get(url, timeout=5).status_code == 403
        assert files.refused == ([] if "files" in url else ["plain.example.org"])
    assert files.log == []


def test_connections_end_with_the_internet(tmp_path):
    with requests.Session() as session:
        session.trust_env = False
        with Internet([Files()], tmp_path) as net:
            session.proxies, session.verify = {"https": net.proxy}, str(net.certificate)
            session.get("https://files.example.org/echo", timeout=5)
            assert net.connections() == 1
        end = time.monotonic() + 60
        while net.connections() and time.monotonic() < end:
            time.sleep(0.02)
        assert net.connections() == 0


def test_nothing_leaves_this_machine():
    with (
        socket.socket() as connection,
        pytest.raises(AssertionError, match="would leave this machine"),
    ):
        connection.connect(("192.0.2.1", 443))
