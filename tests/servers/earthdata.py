"""A local Earthdata: login (URS), search (CMR), the data host (Thin Egress App) and its object store, with faults.

What earthaccess and python-cmr meet is here: the token endpoint with HTTP Basic, JSON Web Tokens that end, granule
searches in UMM JSON with ``CMR-Hits`` and ``CMR-Search-After``, a data host that sends a welcome bearer to a pre-signed
link of the store (303) and an unwelcome one through OAuth at the login host, and a store that knows ETags and ranges
and lets its links expire.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from tests.servers.earthdata_login import CLIENT, LOGIN_PAGE, URS, Login, html_answer, json_answer, xml_answer
from tests.servers.faults import Faults
from tests.servers.internet import Answer, Request, ranged
from tests.servers.world import Granule, World
from tests.servers.world_smap import granules, without_half

CMR = "cmr.earthdata.nasa.gov"
DATA = "data.nsidc.earthdatacloud.nasa.gov"
BUCKET = "nsidc-cumulus-prod-protected"
STORE = f"{BUCKET}.s3.us-west-2.amazonaws.com"
PROVIDER = "NSIDC_CPRD"
VERSIONS = {"SPL3SMP": "009", "SPL3SMP_E": "006", "SPL4SMGP": "008"}

#: Most granules on a page of the search.
PAGE = 2000
#: Granules that the fault of many pretends there are, at least.
MANY = 2300


@dataclass(frozen=True)
class Entry:
    """A granule as the search shows it: under a name of its own, perhaps without size and checksum."""

    granule: Granule
    product: str
    name: str
    described: bool = True

    @property
    def key(self) -> str:
        """Where the store keeps it."""
        year, month, _ = self.granule.day.split("-")
        return f"SMAP/{self.product}/{VERSIONS[self.product]}/{year}/{month}/{self.name}"

    @property
    def span(self) -> tuple[datetime, datetime]:
        """First and last moment; those of SPL4SMGP end where the next begins."""
        if stamp := re.search(r"_(\d{8}T\d{6})_", self.name):
            middle = datetime.strptime(stamp[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            return middle - timedelta(minutes=90), middle + timedelta(minutes=90)
        begin = datetime.fromisoformat(self.granule.day).replace(tzinfo=UTC)
        return begin, begin + timedelta(days=1, milliseconds=-1)


class Earthdata:
    """The four hosts of Earthdata.

    Parameters
    ----------
    world : World
    faults : Faults
    user, password : str
        Of the only account.
    days : sequence of str, optional
        Days (``YYYY-MM-DD``) of SPL3SMP that there are; all that the world has by default.
    fine_days : sequence of str, optional
        Days of the 9 km products; two days of the first month by default.
    token_life, link_life : float, int
        How long tokens and links of the store last [s].

    Attributes
    ----------
    login : Login
    """

    hosts = (URS, CMR, DATA, STORE)

    def __init__(
        self,
        world: World,
        faults: Faults | None = None,
        user: str = "alpine-meadow",
        password: str = "yak-butter&tea=4500m",
        days: Sequence[str] | None = None,
        fine_days: Sequence[str] | None = None,
        token_life: float = 60 * 86400.0,
        link_life: int = 3600,
    ) -> None:
        self.world, self.faults = world, faults or Faults()
        self.login = Login(self.faults, user, password, token_life)
        self.days = None if days is None else frozenset(days)
        self.fine_days = tuple(fine_days or (f"{world.months[0]}-01", f"{world.months[0]}-02"))
        self.link_life = link_life
        self._lock = threading.RLock()
        self._cookies: set[str] = set()
        self._cuts = 0
        #: How a collection is changed by faults, from the moment they are taken: a property of it, not of one answer.
        self._changed: dict[str, set[str]] = {}
        self._listed: dict[tuple[str, frozenset[str]], tuple[Entry, ...]] = {}
        self._ended: set[str] = set()

    def environment(self) -> dict[str, str]:
        """What a client needs to know."""
        return {"EARTHDATA_USERNAME": self.login.user, "EARTHDATA_PASSWORD": self.login.password}

    def answer(self, request: Request) -> Answer:
        """What the host says."""
        return {URS: self.login.answer, CMR: self._cmr, DATA: self._data, STORE: self._store}[request.host](request)

    def mend(self) -> None:
        """Let the collections be whole again."""
        with self._lock:
            self._changed.clear()

    # --- search ------------------------------------------------------------------------------------------------------

    def _cmr(self, request: Request) -> Answer:
        if request.headers.get("authorization") and not self.login.bearer(request):
            return json_answer(401, {"errors": ["Token has expired. The token value is partially redacted."]})
        if self.faults.take("cmr_504"):
            return html_answer(504, b"<html><body><center><h1>504 Gateway Time-out</h1></center></body></html>")
        if request.path == "/search/collections.umm_json":
            return self._collections(request)
        if request.path != "/search/granules.umm_json":
            return json_answer(404, {"errors": ["not found"]})
        return self._search(request)

    def _collections(self, request: Request) -> Answer:
        product = request.first("short_name")
        items = []
        if product in VERSIONS and request.first("version", VERSIONS[product]) == VERSIONS[product]:
            meta = {"concept-id": f"C1-{PROVIDER}", "provider-id": PROVIDER, "native-id": product}
            items.append({"meta": meta, "umm": {"ShortName": product, "Version": VERSIONS[product]}})
        headers = {"CMR-Hits": str(len(items))}
        return json_answer(200, {"hits": len(items), "took": 3, "items": items}, headers)

    def _search(self, request: Request) -> Answer:
        size = request.first("page_size", "10")
        if not size.isdigit() or int(size) > PAGE:
            return json_answer(400, {"errors": [f"page_size must be a number between 0 and {PAGE}"]})
        product = request.first("short_name")
        if product is None:
            return json_answer(400, {"errors": ["The query needs a collection filter, such as short_name"]})
        begin, end = _period(request.first("temporal[]") or request.first("temporal"))
        known = self._searched(product) if VERSIONS.get(product) == request.first("version") else ()
        found = [entry for entry in known if entry.span[1] >= begin and entry.span[0] <= end]
        headers = {"CMR-Hits": str(len(found))}
        after = json.loads(request.headers.get("cmr-search-after", "[0]"))[0]
        page = found[after : after + int(size)]
        if page:
            headers["CMR-Search-After"] = json.dumps([after + len(page)])
            if self.faults.take("cmr_hits_mismatch"):
                page = page[:-1]
            if self.faults.take("cmr_no_size_or_checksum"):
                page = [replace(entry, described=False) for entry in page]
        return json_answer(200, {"hits": len(found), "took": 12, "items": [_umm(entry) for entry in page]}, headers)

    def _searched(self, product: str) -> tuple[Entry, ...]:
        """All granules of a product; the moment when its collection may change by a fault, for good."""
        with self._lock:
            changed = self._changed.setdefault(product, set())
            changed |= {name for name in ("cmr_many", "cmr_duplicates", "cmr_missing_date") if self.faults.take(name)}
        return self.collection(product)

    def collection(self, product: str) -> tuple[Entry, ...]:
        """All granules of a product by time and name, as faults have left the collection."""
        with self._lock:
            key = product, frozenset(self._changed.get(product, ()))
            if key not in self._listed:
                self._listed[key] = self._list(*key)
            return self._listed[key]

    def _list(self, product: str, changed: frozenset[str]) -> tuple[Entry, ...]:
        held = self._held(product)
        gone = self.missing_day(product) if "cmr_missing_date" in changed else None
        entries = [Entry(granule, product, granule.name) for granule in held if granule.day != gone]
        older = 3 if "cmr_duplicates" in changed else 0
        if "cmr_many" in changed:
            days = {granule.day for granule in held if granule.day[:7] == self.missing_day(product)[:7]}
            older = -(-MANY // len(days))
        released = {name: entry.granule for entry in entries for name in _older(entry.name, older)}
        entries += [Entry(granule, product, name) for name, granule in released.items()]
        return tuple(sorted(entries, key=lambda entry: (entry.span[0], entry.name)))

    def _held(self, product: str) -> list[Granule]:
        if product != "SPL3SMP":
            return granules(self.world, product, self.fine_days)
        return [granule for granule in self.world.granules() if self.days is None or granule.day in self.days]

    def missing_day(self, product: str) -> str:
        """The day that goes missing by fault: the first that the product has within the months asked for."""
        return min(granule.day for granule in self._held(product) if granule.day[:7] >= self.world.months[0])

    # --- data host ---------------------------------------------------------------------------------------------------

    def _data(self, request: Request) -> Answer:
        if request.path == "/login":
            return self._signed_in_at_last(request)
        if request.path == "/redirected" or self.faults.take("edl_redirect_loop"):
            return Answer(302, b"", {"Location": f"https://{DATA}/redirected"})
        if not self._welcome(request):
            query = {"client_id": CLIENT, "response_type": "code", "redirect_uri": f"https://{DATA}/login"}
            query |= {"state": request.path, "app_type": "401"}
            return Answer(302, b"", {"Location": f"https://{URS}/oauth/authorize?{urlencode(query)}"})
        if self.faults.take("edl_eula"):
            return _eula(request)
        if self.faults.take("data_html_200"):
            return html_answer(200, LOGIN_PAGE)
        key = request.path.removeprefix(f"/{BUCKET}/")
        if self._entry(key) is None:
            return html_answer(404, b"<html><body><h1>404 Not Found</h1>Could not find requested data.</body></html>")
        headers = {"Location": self._link(request.method, key), "Cache-Control": "private, max-age=3540"}
        return Answer(303, b"", headers)

    def _welcome(self, request: Request) -> bool:
        cookies = dict(part.strip().partition("=")[::2] for part in request.headers.get("cookie", "").split(";"))
        if cookies.get("asf-urs") in self._cookies:
            return True
        return self.login.bearer(request) and not self.faults.take("edl_bearer_refused")

    def _signed_in_at_last(self, request: Request) -> Answer:
        """The end of the way through OAuth: a code, once, for a cookie."""
        with self._lock:
            if request.first("code") not in self.login.codes:
                return html_answer(400, b"<html><body>Could not sign in: no such code.</body></html>")
            self.login.codes.remove(request.first("code"))
        cookie = f"asf-urs={self.login.once(self._cookies)}; Path=/; Secure; HttpOnly"
        return Answer(302, b"", [("Location", f"https://{DATA}{request.first('state', '/')}"), ("Set-Cookie", cookie)])

    def _entry(self, key: str) -> Entry | None:
        product = key.split("/")[1] if key.count("/") == 5 else ""
        if product not in VERSIONS:
            return None
        return next((entry for entry in self.collection(product) if entry.key == key), None)

    # --- object store ------------------------------------------------------------------------------------------------

    def _link(self, method: str, key: str) -> str:
        """A pre-signed link, for one method."""
        query = {
            "A-userid": self.login.user,
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"ASIAMADEUP{self.login.once(set())[:10].upper()}/us-west-2/s3/aws4_request",
            "X-Amz-Date": f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}",
            "X-Amz-Expires": str(self.link_life),
            "X-Amz-SignedHeaders": "host",
        }
        return f"https://{STORE}/{key}?{urlencode({**query, 'X-Amz-Signature': self._sign(method, key, query)})}"

    def _sign(self, method: str, key: str, query: Mapping[str, str]) -> str:
        text = f"{method}\n{key}\n{urlencode(sorted(query.items()))}"
        return hmac.new(self.login.secret, text.encode(), "sha256").hexdigest()

    def _store(self, request: Request) -> Answer:
        if "authorization" in request.headers:
            return xml_answer(400, "InvalidArgument", "Only one auth mechanism allowed")
        key = request.path.removeprefix("/")
        query = {name: values[0] for name, values in request.query.items()}
        signature = query.pop("X-Amz-Signature", "")
        if signature != self._sign(request.method, key, query):
            return xml_answer(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
        made = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if self.faults.take("store_403"):
            self._ended.add(signature)
        if signature in self._ended or (datetime.now(UTC) - made).total_seconds() > float(query["X-Amz-Expires"]):
            return xml_answer(403, "AccessDenied", "Request has expired")
        if self.faults.take("store_503"):
            return xml_answer(503, "SlowDown", "Please reduce your request rate.")
        entry = self._entry(key)
        if entry is None:
            return xml_answer(404, "NoSuchKey", "The specified key does not exist.")
        if entry.product != "SPL4SMGP" and request.method == "GET" and self.faults.take("data_group_missing"):
            body = without_half(entry.granule.path)
            return self._deliver(request, body, hashlib.md5(body).hexdigest())
        return self._deliver(request, entry.granule.path, entry.granule.md5)

    def _deliver(self, request: Request, body: bytes | Path, md5: str) -> Answer:
        kept = {"Content-Type": "binary/octet-stream", "Server": "AmazonS3"}
        answer = ranged(request, body, f'"{md5}"', headers=kept)
        if request.method != "GET" or answer.length < 2:
            return answer
        half = answer.length // 2
        if self.faults.take("store_cut"):
            answer.cut_after = half
            with self._lock:
                self._cuts += 1
                answer.announce = self._cuts % 2 == 1  # every other cut comes without a length: nothing tells of it
        elif self.faults.take("store_stall"):
            answer.stall_after = half
        elif self.faults.take("data_wrong_checksum"):
            content = bytearray(body.read_bytes() if isinstance(body, Path) else body)
            content[answer.start + half] ^= 0x55
            answer.body = bytes(content)
        return answer


def _older(name: str, count: int) -> list[str]:
    """Names of earlier releases of a granule, with higher counters than its own."""
    head, release, number, _ = re.fullmatch(r"(.*)_(R|Vv)(\d+)_(\d{3})\.h5", name).groups()
    return [f"{head}_{release}{int(number) - step:0{len(number)}d}_009.h5" for step in range(1, count + 1)]


def _period(temporal: str | None) -> tuple[datetime, datetime]:
    """Begin and end of ``2016-01-01T00:00:00Z,2016-01-31T23:59:59Z``, either of which may be empty."""
    begin, _, end = (temporal or ",").partition(",")
    first = datetime.fromisoformat(begin) if begin else datetime(1, 1, 1, tzinfo=UTC)
    last = datetime.fromisoformat(end) if end else datetime(9999, 12, 31, tzinfo=UTC)
    return first, last


def _umm(entry: Entry) -> dict:
    """The granule in UMM JSON."""
    begin, end = (f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z" for moment in entry.span)
    held = {"Name": entry.name, "Size": round(entry.granule.size / 2**20, 4), "SizeUnit": "MB"}
    if entry.described:
        held["SizeInBytes"] = entry.granule.size
        held["Checksum"] = {"Value": entry.granule.md5, "Algorithm": "MD5"}
    number = int(hashlib.md5(entry.name.encode()).hexdigest()[:8], 16)
    world = {"WestBoundingCoordinate": -180, "NorthBoundingCoordinate": 85.044, "EastBoundingCoordinate": 180}
    world["SouthBoundingCoordinate"] = -85.044
    return {
        "meta": {
            "concept-type": "granule",
            "concept-id": f"G{number}-{PROVIDER}",
            "provider-id": PROVIDER,
            "native-id": entry.name,
            "revision-id": 1,
            "revision-date": "2025-01-01T00:00:00.000Z",
            "format": "application/vnd.nasa.cmr.umm+json",
        },
        "umm": {
            "GranuleUR": entry.name,
            "CollectionReference": {"ShortName": entry.product, "Version": VERSIONS[entry.product]},
            "TemporalExtent": {"RangeDateTime": {"BeginningDateTime": begin, "EndingDateTime": end}},
            "SpatialExtent": {"HorizontalSpatialDomain": {"Geometry": {"BoundingRectangles": [world]}}},
            "RelatedUrls": [
                {"URL": f"https://{DATA}/{BUCKET}/{entry.key}", "Type": "GET DATA"},
                {"URL": f"s3://{BUCKET}/{entry.key}", "Type": "GET DATA VIA DIRECT ACCESS"},
            ],
            "DataGranule": {"DayNightFlag": "Unspecified", "ArchiveAndDistributionInformation": [held]},
        },
    }


def _eula(request: Request) -> Answer:
    """An agreement is missing: JSON for programs, a page for browsers."""
    if "Mozilla" in request.headers.get("user-agent", ""):
        return html_answer(
            403, b"<html><body>Could not fetch data because of an EULA. Please accept EULA here.</body></html>"
        )
    content = {
        "status_code": 403,
        "error_description": "EULA Acceptance Failure",
        "resolution_url": f"https://{URS}/approve_app?client_id={CLIENT}",
    }
    return json_answer(403, content)
