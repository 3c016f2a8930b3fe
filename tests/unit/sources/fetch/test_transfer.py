"""Downloads from a store that cuts, stalls, lies about ranges and lengths, and changes its mind."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from pscnet.sources.fetch import DamagedError, RefusedError, UnavailableError, parts, transfer
from pscnet.sources.fetch.parts import Part, multipart_md5
from pscnet.sources.fetch.settings import Patience
from pscnet.sources.fetch.transfer import BLOCK, Offer, discard, receive
from tests.waiting import wait_until

PATIENCE = Patience(first_wait=0.01, longest_wait=0.05, give_up_after=10.0, stall=0.6, slowest=20_000.0)
HASTY = Patience(first_wait=0.01, longest_wait=0.05, give_up_after=0.3, stall=0.6, slowest=20_000.0)
DATA = random.Random(1).randbytes(1_500_000)
OTHER = random.Random(2).randbytes(len(DATA))


@dataclass(frozen=True)
class Turn:
    """How the store answers one request; the last of its turns counts for all later ones."""

    data: bytes = DATA
    etag: str | None = '"one"'
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    page: bytes = b"an error"
    ranges: bool = True
    minds_if_range: bool = True
    length: str = "announced"  # or "unannounced" (until the line closes) or "chunked"
    cut: int | None = None  # bytes of the body after which the line closes
    stall: int | None = None  # bytes of the body after which nothing comes for a while
    trickle: bool = False
    pace: float = 0.0  # seconds between two blocks of 50 kB


class Store:
    """A small object store on the loopback."""

    def __init__(self) -> None:
        self.turns = [Turn()]
        self.asked: list[str | None] = []  # the Range of each request
        self.sent = 0  # bytes of bodies of files
        self.over = threading.Event()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                store.asked.append(self.headers.get("Range"))
                self.close_connection = True
                try:
                    store.answer(self, store.turns.pop(0) if len(store.turns) > 1 else store.turns[0])
                except (BrokenPipeError, ConnectionResetError):
                    store.asked[-1] = f"{store.asked[-1]} (hung up)"

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/granule.h5?X-Amz-Signature=planted"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, turn: Turn) -> None:
        body, status, extra = turn.page, turn.status, dict(turn.headers)
        if status == 200:
            body = turn.data
            asked = handler.headers.get("Range")
            same = not turn.minds_if_range or handler.headers.get("If-Range") in (None, turn.etag)
            if asked and turn.ranges and same:
                first = int(asked.removeprefix("bytes=").rstrip("-"))
                if first >= len(body):
                    status, body = 416, b""
                else:
                    status, body = 206, body[first:]
                    extra.setdefault("Content-Range", f"bytes {first}-{len(turn.data) - 1}/{len(turn.data)}")
            if turn.etag:
                extra["ETag"] = turn.etag
        handler.send_response(status)
        if turn.length == "announced":
            extra.setdefault("Content-Length", str(len(body)))
        elif turn.length == "chunked":
            extra["Transfer-Encoding"] = "chunked"
        for name, value in extra.items():
            handler.send_header(name, value)
        handler.end_headers()
        self.send(handler, turn, body)

    def send(self, handler: BaseHTTPRequestHandler, turn: Turn, body: bytes) -> None:
        stop = min((n for n in (turn.cut, turn.stall) if n is not None), default=len(body))
        step = 100 if turn.trickle else 50_000
        for at in range(0, min(stop, len(body)), step):
            block = body[at : min(at + step, stop)]
            frame = (b"%x\r\n" % len(block), b"\r\n") if turn.length == "chunked" else (b"", b"")
            handler.wfile.write(block.join(frame))
            self.sent += len(block)
            if turn.trickle or turn.pace:
                self.over.wait(0.05 if turn.trickle else turn.pace)
        if turn.stall is not None:
            self.over.wait(60.0)
        elif turn.cut is None and turn.length == "chunked":
            handler.wfile.write(b"0\r\n\r\n")

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def store() -> Iterator[Store]:
    one = Store()
    yield one
    one.close()


@pytest.fixture
def part(tmp_path) -> Path:
    return tmp_path / "parts" / "granule.h5.part"


@pytest.fixture
def fetch(store, part) -> Callable:
    """Receive from the store into the part, and hold what came against what was served."""

    def run(patience=PATIENCE, size=None, data=DATA, **options):
        with requests.Session() as session:
            got = receive(lambda: Offer(store.url, session, size=size), part, "SMAP", patience, **options)
        assert part.read_bytes() == data
        assert (got.path, got.size) == (part, len(data))
        assert got.md5 == hashlib.md5(data).hexdigest()
        assert got.sha256 == hashlib.sha256(data).hexdigest()
        return got

    return run


def leave(part: Path, data: bytes, etag: str = '"one"', total: int | None = len(DATA)) -> None:
    """A part as a killed process leaves it."""
    with Part(part) as file:
        file.begin(etag, total, "http://127.0.0.1/granule.h5")
        file.append(data)


def test_a_quiet_download(store, fetch, part):
    got = fetch()
    assert store.asked == [None]
    assert (got.resumed, got.again, got.etag) == (False, 0, '"one"')
    assert got.url == store.url.partition("?")[0]


def test_headers_of_the_offer_and_no_encoding(store, part):
    seen = {}
    answer = store.answer
    store.answer = lambda handler, turn: (seen.update(handler.headers), answer(handler, turn))
    with requests.Session() as session:
        receive(lambda: Offer(store.url, session, {"X-From": "test"}), part, "SMAP", PATIENCE)
    assert (seen["X-From"], seen["Accept-Encoding"]) == ("test", "identity")


@pytest.mark.parametrize("length", ["announced", "chunked"])
@pytest.mark.parametrize("cut", [0, 1, 1000, len(DATA) - 1])
def test_a_cut_is_resumed_where_it_happened(store, fetch, cut, length):
    store.turns = [Turn(cut=cut, length=length), Turn(length=length)]
    got = fetch()
    assert got.again <= 1
    assert store.sent <= len(DATA) + 1
    assert not got.resumed, "nothing came from an earlier call"


def test_many_cuts_longer_than_patience(store, fetch):
    """Every piece of progress starts patience anew."""
    store.turns = [Turn(cut=100_000, pace=0.04)] * 6 + [Turn()]
    begun = time.monotonic()
    got = fetch(HASTY)
    assert time.monotonic() - begun > HASTY.give_up_after
    assert got.again == 0


def test_cuts_without_progress_end_patience(store, fetch, part):
    store.turns = [Turn(cut=300_000), Turn(cut=0)]
    with pytest.raises(UnavailableError, match=r"SMAP: .* Start again"):
        fetch(HASTY)
    assert part.read_bytes() == DATA[:300_000]
    store.turns = [Turn()]
    got = fetch()
    assert got.resumed
    assert got.again == 0
    assert store.asked[-1] == "bytes=300000-"


def test_the_same_cut_without_ranges_ends_patience(store, fetch):
    """Bytes that come again and again are no progress."""
    store.turns = [Turn(cut=300_000, ranges=False)]
    with pytest.raises(UnavailableError):
        fetch(HASTY)


@pytest.mark.parametrize("ignoring", [Turn(ranges=False), Turn(etag=None), Turn(etag='W/"one"')])
def test_what_cannot_be_resumed_starts_from_0(store, fetch, ignoring):
    store.turns = [Turn(cut=400_000, etag=ignoring.etag), ignoring]
    got = fetch()
    assert got.again == 400_000
    assert got.etag == ('"one"' if ignoring.etag == '"one"' else None)


@pytest.mark.parametrize("minds", [True, False])
def test_content_swapped_on_resume(store, fetch, minds):
    """Also where the server ignores If-Range and sends the rest of another object."""
    store.turns = [Turn(cut=400_000), Turn(data=OTHER, etag='"two"', minds_if_range=minds)]
    assert fetch(data=OTHER).etag == '"two"'


@pytest.mark.parametrize(
    "wrong",
    [
        "bytes 0-9/10",
        "bytes 300000-1499999/1500000",
        "bytes 400000-1499999/1600000",
        "bytes 400000-1599999/1600000",
        "bytes 400000-1400000/1500000",
        "nonsense",
    ],
)
def test_an_answer_with_another_range(store, fetch, wrong):
    store.turns = [Turn(cut=400_000), Turn(headers=(("Content-Range", wrong),)), Turn()]
    assert fetch().again == 400_000


def test_a_part_resumed_in_vain(store, fetch, part):
    leave(part, DATA[:200_000])
    store.turns = [Turn(cut=100_000), Turn(data=OTHER, etag='"two"')]
    got = fetch(data=OTHER)
    assert (got.resumed, got.again) == (False, 300_000)


def test_a_part_longer_than_the_object(store, fetch, part):
    leave(part, DATA + b"more", total=None)
    got = fetch()
    assert not got.resumed
    assert store.asked == [f"bytes={len(DATA) + 3}-", None], "416, then the whole"


def test_a_stall_is_noticed(store, fetch):
    store.turns = [Turn(stall=500_000), Turn()]
    begun = time.monotonic()
    assert fetch().again == 0
    assert time.monotonic() - begun < 30.0, "the store is silent for a minute"


def test_a_trickle_is_noticed(store, fetch):
    store.turns = [Turn(trickle=True), Turn()]
    assert fetch().again == 0
    assert len(store.asked) == 2


def test_an_endless_trickle_ends_patience(store, fetch):
    store.turns = [Turn(trickle=True)]
    with pytest.raises(UnavailableError, match="bytes a second"):
        fetch(Patience(0.01, 0.05, give_up_after=1.5, stall=1.0, slowest=1e6))


def test_a_cut_of_unannounced_length(store, fetch):
    """Only the provider's size tells that something is missing."""
    store.turns = [Turn(cut=400_000, length="unannounced"), Turn(length="unannounced")]
    assert fetch(size=len(DATA)).again <= 1


def test_nobody_announces_a_length(store, fetch):
    store.turns = [Turn(length="unannounced")]
    fetch()


@pytest.mark.parametrize("length", ["announced", "chunked"])
@pytest.mark.parametrize("size", [10, 10**7])
def test_the_answer_knows_its_length_better_than_the_provider(store, fetch, size, length):
    store.turns = [Turn(length=length)]
    assert fetch(size=size).again == 0


@pytest.mark.parametrize("turn", [Turn(length="unannounced"), Turn(length="unannounced", etag=None)])
def test_a_size_too_large_that_nobody_confirms(store, fetch, turn):
    store.turns = [turn]
    fetch(size=len(DATA) + 7)
    assert len(store.asked) <= 3


def test_longer_than_announced(store, fetch, part):
    store.turns = [Turn(data=DATA + b"x", length="unannounced"), Turn()]
    fetch(size=len(DATA))
    store.turns = [Turn(data=DATA + b"x", length="unannounced")]
    with pytest.raises(DamagedError, match=f"SMAP: expected {len(DATA)} bytes"):
        fetch(size=len(DATA), whole=True)
    assert not part.exists()


def test_an_empty_file(store, fetch):
    store.turns = [Turn(data=b"")]
    assert fetch(data=b"").again == 0


def test_a_server_that_asks_to_wait(store, fetch):
    store.turns = [Turn(status=503, headers=(("Retry-After", "1"),)), Turn()]
    begun = time.monotonic()
    fetch()
    assert time.monotonic() - begun > 0.9


def test_a_server_that_asks_for_too_much(store, fetch):
    store.turns = [Turn(status=503, headers=(("Retry-After", "999999"),))]
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="asks to wait 278 h"):
        fetch()
    assert time.monotonic() - begun < 60.0


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_statuses_that_pass(store, fetch, status):
    store.turns = [Turn(cut=400_000), Turn(status=status), Turn(status=status), Turn()]
    assert fetch().again == 0


@pytest.mark.parametrize("status", [403, 404, 410, 416])
def test_an_expired_link_is_renewed(store, part, status):
    store.turns = [Turn(cut=400_000), Turn(status=status), Turn()]
    links = []

    def offer() -> Offer:
        links.append(store.url)
        return Offer(store.url, requests.Session())

    got = receive(offer, part, "SMAP", PATIENCE)
    assert part.read_bytes() == DATA
    assert len(links) == (2 if status == 416 else 3), "a 416 to a range is followed by a plain request at once"
    assert got.again == (400_000 if status == 416 else 0)


def test_links_may_expire_many_times_in_a_long_download(store, fetch):
    gone = Turn(status=403)
    store.turns = [Turn(cut=100_000), gone, gone, Turn(cut=100_000), gone, gone, Turn(cut=100_000), gone, gone, Turn()]
    assert fetch().again == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_for_the_caller(store, fetch, part, status):
    store.turns = [Turn(status=status, page=b"please accept the EULA")]
    with pytest.raises(requests.HTTPError) as caught:
        fetch()
    assert caught.value.response.status_code == status
    assert caught.value.response.text == "please accept the EULA"
    assert "planted" not in str(caught.value)
    assert len(store.asked) == (1 if status in (400, 401) else 4)
    assert not part.exists()


def test_a_question_before_the_link_that_is_refused(part):
    """A 403 of the service that gives the link is not a matter of fresh links."""
    asked = []

    def offer() -> Offer:
        asked.append(1)
        response = requests.Response()
        response.status_code = 403
        raise requests.HTTPError("no", response=response)

    with pytest.raises(requests.HTTPError, match="no"):
        receive(offer, part, "SMAP", PATIENCE)
    assert len(asked) == 1


def test_a_page_does_not_cost_a_good_part(store, fetch):
    page = Turn(data=b"<html>log in</html>", etag=None, headers=(("Content-Type", "text/html"),))
    store.turns = [Turn(cut=400_000), page, page, Turn()]
    assert fetch().again == 0
    store.turns = [page]
    assert fetch(data=page.data, whole=True).content_type == "text/html"


def test_the_whole_again(store, fetch, part):
    leave(part, OTHER[:1000])
    got = fetch(whole=True)
    assert store.asked == [None]
    assert (got.resumed, got.again) == (False, 0)


def test_a_complete_part_is_confirmed_by_one_byte(store, fetch):
    fetch()
    # What has gone is counted when the server gets round to it.
    wait_until(lambda: store.sent >= len(DATA), "all bytes to be counted")
    store.sent = 0
    got = fetch()
    wait_until(lambda: store.sent, "the byte to be counted")
    assert got.resumed
    assert (store.sent, got.again) == (1, 1)
    store.turns = [Turn(data=OTHER, etag='"two"')]
    assert not fetch(data=OTHER).resumed


@pytest.mark.parametrize("text", ["", "{", "[]", '{"etag": "x"}', None])
def test_a_part_of_which_nothing_is_known(store, fetch, part, text):
    leave(part, OTHER[:1000])
    sidecar = part.with_name(f"{part.name}.json")
    if text is None:
        sidecar.unlink()
    else:
        sidecar.write_text(text)
    got = fetch()
    assert (got.resumed, got.again) == (False, 1000)


def test_what_is_known_of_a_part_has_no_query(store, fetch, part):
    fetch()
    known = json.loads(part.with_name(f"{part.name}.json").read_text())
    assert known == {"etag": '"one"', "total": len(DATA), "url": store.url.partition("?")[0]}
    discard(part)
    assert list(part.parent.iterdir()) == []


def test_bytes_are_told_and_taken_back(store, fetch, part):
    leave(part, DATA[:200_000])
    store.turns = [Turn(cut=100_000), Turn(ranges=False)]
    told = []
    fetch(on_bytes=told.append)
    assert sum(told) == len(DATA)
    assert told[0] == 200_000
    assert min(told) == -300_000
    assert max(told[1:]) <= BLOCK


def test_a_disk_without_room(store, fetch, part, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 2_000_000))
    with pytest.raises(RefusedError, match="free room"):
        fetch(reserve=600_000)
    assert not part.exists()
    with pytest.raises(RefusedError, match="free room"):
        fetch(size=3_000_000)
    fetch(reserve=400_000)


def test_a_disk_that_fills_up(store, fetch, part, monkeypatch):
    real = os.pwrite

    def full(handle, block, at):
        if at > 500_000:
            raise OSError(28, "No space left on device")
        return real(handle, block, at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RefusedError, match="No space left"):
        fetch()
    monkeypatch.undo()
    got = fetch()
    assert got.resumed
    assert got.again <= 2 * BLOCK, "what was received but could not be written"


CHILD = """
import sys, requests
from pathlib import Path
from pscnet.sources.fetch.settings import Patience
from pscnet.sources.fetch.transfer import Offer, receive
session = requests.Session()
receive(lambda: Offer(sys.argv[1], session), Path(sys.argv[2]), "SMAP", Patience(stall=30.0))
"""


def test_a_killed_process_loses_nothing(store, fetch, part):
    store.turns = [Turn(stall=700_000), Turn()]
    child = subprocess.Popen([sys.executable, "-c", CHILD, store.url, str(part)], env=os.environ | _with_sources())
    try:
        deadline = time.monotonic() + 60.0
        while not (part.exists() and part.stat().st_size == 700_000):
            assert child.poll() is None, "the child ended"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    got = fetch()
    assert got.resumed
    assert got.again == 0
    assert store.asked[-1] == "bytes=700000-"


def _with_sources() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_a_kill_while_the_sidecar_is_written_leaves_nothing_for_ever(part, monkeypatch):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with Part(part) as file:
        monkeypatch.setattr("pscnet.sources.fetch.parts.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            file.begin('"one"', 3, "")
        monkeypatch.undo()
    assert len(list(part.parent.glob("*.new"))) == 1
    discard(part)
    assert list(part.parent.iterdir()) == []


def test_two_at_one_part_take_turns(store, part):
    store.turns = [Turn(pace=0.005)]
    got = []

    def run() -> None:
        got.append(receive(lambda: Offer(store.url, requests.Session()), part, "SMAP", PATIENCE))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.resumed for one in got) == [False, True]
    assert store.sent <= len(DATA) + 1  # the last byte is counted when the server gets round to it


def test_a_part_renamed_while_another_waits(store, part, tmp_path):
    """The one that waits must not write into the file that has its final name by then."""
    final, got = tmp_path / "granule.h5", []

    def run() -> None:
        got.append(receive(lambda: Offer(store.url, requests.Session()), part, "SMAP", PATIENCE))

    with Part(part) as file:
        file.begin('"zero"', 3, "")
        file.append(b"abc")
        other = threading.Thread(target=run)
        other.start()
        time.sleep(0.1)
        os.replace(part, final)
    other.join()
    assert final.read_bytes() == b"abc"
    assert part.read_bytes() == DATA


def test_stop_ends_waiting(store, fetch):
    store.turns = [Turn(status=503, headers=(("Retry-After", "99"),))]
    begun = time.monotonic()
    with pytest.raises(UnavailableError):
        fetch(stop=lambda: time.monotonic() - begun > 0.2)
    assert time.monotonic() - begun < 60.0


@pytest.mark.parametrize("size", [0, 10, 3_000_000, 6_000_000, 6_000_001])
def test_checksum_of_multipart_uploads(tmp_path, monkeypatch, size):
    path, whole = tmp_path / "big", 3_000_000
    monkeypatch.setattr(parts, "MULTIPART", whole)
    data = random.Random(4).randbytes(size)
    path.write_bytes(data)
    pieces = [data[at : at + whole] for at in range(0, max(size, 1), whole)]
    joined = b"".join(hashlib.md5(piece).digest() for piece in pieces)
    assert multipart_md5(path) == hashlib.md5(joined).hexdigest()


def test_checksum_of_a_multipart_upload_as_received(store, fetch, monkeypatch):
    monkeypatch.setattr(transfer, "MULTIPART", 1_000_000)
    monkeypatch.setattr(parts, "MULTIPART", 1_000_000)
    joined = hashlib.md5(DATA[:1_000_000]).digest() + hashlib.md5(DATA[1_000_000:]).digest()
    assert fetch().part_md5s == hashlib.md5(joined).hexdigest()


def test_a_redirect_to_a_signed_link(store, fetch, part):
    """As the data host of Earthdata sends to its store: the range goes along, the signature stays unseen."""
    store.turns = [
        Turn(status=303, headers=(("Location", "/store/granule.h5?X-Amz-Signature=other"),)),
        Turn(cut=400_000),
        Turn(status=303, headers=(("Location", "/store/granule.h5?X-Amz-Signature=third"),)),
        Turn(),
    ]
    assert fetch().again == 0
    assert store.asked == [None, None, "bytes=400000-", "bytes=400000-"]
    assert "Signature" not in part.with_name(f"{part.name}.json").read_text()


def test_redirects_without_end(store, fetch):
    store.turns = [Turn(status=302, headers=(("Location", store.url),))] * 32 + [Turn()]
    fetch()


def test_hashes_of_a_larger_file(store, fetch):
    """Large enough for the hashes to be computed behind the end of the file, also where that goes back."""
    before, after = (random.Random(seed).randbytes(12_000_000) for seed in (3, 4))
    new = Turn(after, etag='"new"')
    store.turns = [Turn(before, cut=9_000_000), Turn(before, cut=1000), replace(new, cut=7_000_000), new]
    got = fetch(data=after)
    assert got.part_md5s == hashlib.md5(hashlib.md5(after).digest()).hexdigest()
