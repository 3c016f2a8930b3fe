"""From a wish to the manifest: only what is missing is fetched, and the files depend on the wish alone.

The service is replaced by a function that writes what a request asks for; the way to the true one is tested with the
local servers.
"""

from __future__ import annotations

import copy
import io
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from pscnet.sources import manifest
from pscnet.sources.fetch import DamagedError, RefusedError, TooLargeError, UnavailableError, era5_land
from pscnet.sources.fetch.cds_state import State
from pscnet.sources.fetch.era5_check import NETCDF, check
from pscnet.sources.fetch.era5_land import fetch_edge, fetch_month
from pscnet.sources.fetch.era5_requests import fields, key, shorts
from pscnet.sources.fetch.slots import slot

SETTINGS = {
    "retry": {
        "first_wait_seconds": 0.01,
        "longest_wait_seconds": 0.1,
        "give_up_after_hours": 0.001,
        "stall_seconds": 1,
        "slowest_bytes_per_second": 1,
    },
    "era5_land": {"requests_at_once": 2, "deadline_hours": 0.001, "max_fields": 4000},
    "smap": {"products": [], "versions": {}, "downloads_at_once": 1, "l4_variables": [], "without": []},
    "reserve_gb": 0,
}
NAMES = ("t2m", "swvl1", "tp", "ssrd")


class Service:
    """Writes requested files; ``limit`` [fields], and errors by short name."""

    def __init__(self, write) -> None:
        self._write, self.limit, self.errors = write, 10**6, {}
        self.asked: list[dict] = []

    def __call__(self, context, request, part, what):
        self.asked.append(request)
        if fields(request) > self.limit:
            State(context.ledger.archive, request).refuse_size()
            raise TooLargeError("too large: expected less; found more. Ask for less.")
        for name in shorts(request):
            if name in self.errors:
                raise self.errors[name]
        north, west, south, east = request["area"]
        days = [f"{request['year']}-{request['month']}-{day}" for day in request["day"]]
        times = np.array([f"{day}T{time}" for day in days for time in request["time"]], "M8[ns]")
        lat = np.arange(round(north * 10), round(south * 10) - 1, -1) / 10
        lon = np.arange(round(west * 10), round(east * 10) + 1) / 10
        with NETCDF:
            self._write(part, tuple(shorts(request)), times, lat, lon)
        received = SimpleNamespace(url="https://store/file.nc", sha256=manifest.hash_file(part))
        return received, check(part, request), f"job-{len(self.asked)}"


@pytest.fixture
def service(write_era5, monkeypatch) -> Service:
    made = Service(write_era5)
    monkeypatch.setattr(era5_land, "fetch_request", made)
    monkeypatch.setenv("CDSAPI_KEY", "key")
    return made


@pytest.fixture
def fetch(tmp_path, fine, month):
    """Fetches a month and gives its manifest; ``max_fields`` and the box may be changed."""

    def run(names=NAMES, lat=None, lon=None, max_fields=4000, screen=None):
        settings = copy.deepcopy(SETTINGS)
        settings["era5_land"]["max_fields"] = max_fields
        fetch_month(
            tmp_path / "archive",
            month,
            names,
            fine.lat if lat is None else lat,
            fine.lon if lon is None else lon,
            settings,
            tmp_path / "manifest.json",
            tmp_path / "state",
            3,
            screen,
        )
        return manifest.read(tmp_path / "manifest.json")

    return run


def contents(tmp_path) -> dict[str, bytes]:
    folder = tmp_path / "archive" / "era5_land"
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def asked(service) -> list[list[str]]:
    return sorted(shorts(request) for request in service.asked)


def test_month_is_fetched_once_by_step_type(service, fetch, tmp_path, month):
    made = fetch()
    assert asked(service) == [["swvl1", "t2m"], ["tp", "ssrd"]]
    assert [(member.variables, member.version) for member in made.files] == [
        (["tp", "ssrd"], "final"),
        (["swvl1", "t2m"], "final"),
    ]
    for member in made.files:
        assert member.request in service.asked
        kind = "accum" if "tp" in member.variables else "instant"
        assert member.path == f"era5_land/2015/era5_land_{month}_{kind}_{key(member.request)[:8]}.nc"
        assert member.provider_id.startswith("job-") and member.url == "https://store/file.nc"
    assert (made.root, made.made_by, made.missing) == (
        str(tmp_path / "archive"),
        "fetch",
        {"variables": [], "days": []},
    )
    assert all(path.exists() for path in made.paths())
    assert (tmp_path / "state").read_text() == "3\n"
    assert fetch() == made and len(service.asked) == 2


def test_nothing_missing_needs_no_account(service, fetch, monkeypatch):
    made = fetch()
    monkeypatch.delenv("CDSAPI_KEY")
    monkeypatch.setenv("CDSAPI_RC", "/nowhere")
    assert fetch() == made
    with pytest.raises(RefusedError, match="CDSAPI_KEY"):
        fetch((*NAMES, "e"))


def test_more_predictors_fetch_only_the_new_ones(service, fetch, tmp_path):
    small = fetch(("t2m", "tp"))
    before = contents(tmp_path)
    service.asked.clear()
    full = fetch()
    assert asked(service) == [["ssrd"], ["swvl1"]]
    assert before.items() <= contents(tmp_path).items()
    assert {member.path for member in small.files} <= {member.path for member in full.files}
    service.asked.clear()
    assert fetch(("tp", "t2m")) == small, "fewer predictors, or another order, change nothing"
    assert service.asked == []


def test_variables_not_asked_for_stay_out_of_the_manifest(service, fetch):
    fetch()
    assert [member.variables for member in fetch(("tp",)).files] == [["tp"]]


def test_larger_box_fetches_again_and_smaller_one_does_not(service, fetch, fine):
    fetch(("t2m",))
    fetch(("t2m",), lat=(30.1, 30.3))
    assert len(service.asked) == 1
    larger = fetch(("t2m",), lat=(29.9, 30.4))
    assert len(service.asked) == 2
    assert [member.request["area"] for member in larger.files] == [[30.4, 90.0, 29.9, 90.5]]
    for south in (29.8, 29.7, 29.6, 29.5):
        fetch(("t2m",), lat=(south, 30.4))
    service.asked.clear()
    assert [member.request["area"] for member in fetch(("t2m",)).files] == [[30.4, 90.0, 30.0, 90.5]]
    assert service.asked == []


def test_requests_stay_below_the_configured_size(service, fetch):
    made = fetch(max_fields=224)
    assert asked(service) == [["ssrd"], ["swvl1"], ["t2m"], ["tp"]]
    assert len(made.files) == 4


def test_refused_size_is_cut_in_two_and_remembered(service, fetch, tmp_path):
    service.limit = 224
    made = fetch()
    assert len(made.files) == 4
    files = contents(tmp_path)
    first = made.paths()[0]
    first.unlink()
    service.asked.clear()
    again = fetch()
    assert len(service.asked) == 1, "what was refused once is not tried again"
    assert contents(tmp_path) == files and {m.path for m in again.files} == {m.path for m in made.files}


def test_refused_size_is_remembered_before_anything_arrived(service, fetch):
    service.limit = 224
    service.errors = {name: UnavailableError(f"{name}: gone.") for name in NAMES}
    with pytest.raises(UnavailableError):
        fetch()
    service.errors = {}
    service.asked.clear()
    fetch()
    assert max(map(fields, service.asked)) == 224


def test_what_was_done_before_a_stop_is_kept_and_the_end_is_the_same(service, fetch, tmp_path):
    service.limit = 224
    fetch()
    whole = contents(tmp_path)
    other = tmp_path / "archive"
    other.rename(tmp_path / "whole")
    service.errors = {"t2m": UnavailableError("t2m: expected patience; found none. Start again.")}
    with pytest.raises(UnavailableError):
        fetch()
    assert len(contents(tmp_path)) == 3, "the others were not kept from ending well"
    service.errors = {}
    service.asked.clear()
    fetch()
    assert asked(service) == [["t2m"]]
    assert contents(tmp_path) == whole


def test_refusal_goes_before_other_errors_and_leaves_no_manifest(service, fetch, tmp_path):
    service.errors = {"t2m": DamagedError("t2m: damaged."), "tp": RefusedError("tp: refused.")}
    with pytest.raises(RefusedError, match="tp"):
        fetch()
    assert not (tmp_path / "manifest.json").exists()
    assert not (tmp_path / "state").exists()


def test_a_refusal_ends_the_wait_for_a_slot(service, fetch, tmp_path):
    """One request finds the only free slot and is refused; the other one waits no longer, and asks for nothing."""
    service.errors = dict.fromkeys(("t2m", "tp"), RefusedError("refused."))
    ends = []

    def run() -> None:
        try:
            fetch()
        except RefusedError as error:
            ends.append(error)

    with slot(tmp_path / "archive" / ".fetch" / "slots", "cds", 2):
        runner = threading.Thread(target=run, daemon=True)
        runner.start()
        runner.join(30.0)
        assert len(ends) == 1 and len(service.asked) == 1


def test_unexpected_error_is_told_by_name(service, fetch):
    service.errors = {"t2m": ZeroDivisionError("by zero")}
    with pytest.raises(era5_land.SourceError, match="ZeroDivisionError"):
        fetch()


def test_file_without_record_is_verified_and_adopted(service, fetch, tmp_path, month):
    made = fetch()
    (tmp_path / "archive" / ".fetch" / "files" / "era5_land" / f"{month}.json").unlink()
    service.asked.clear()
    again = fetch()
    assert service.asked == []
    assert [(m.path, m.sha256, m.variables, m.request) for m in again.files] == [
        (m.path, m.sha256, m.variables, m.request) for m in made.files
    ]


def test_bad_file_without_record_is_put_aside(service, fetch, tmp_path, month):
    made = fetch()
    (tmp_path / "archive" / ".fetch" / "files" / "era5_land" / f"{month}.json").unlink()
    made.paths()[0].write_bytes(b"<html>")
    whole = made.files[0].sha256
    service.asked.clear()
    assert fetch().files[0].sha256 == whole
    assert len(service.asked) == 1
    assert (tmp_path / "archive" / ".quarantine" / "era5_land" / made.paths()[0].name).read_bytes() == b"<html>"


def test_left_parts_of_the_month_are_removed_when_all_is_there(service, fetch, tmp_path, month):
    parts = tmp_path / "archive" / ".fetch" / "parts"
    parts.mkdir(parents=True)
    for name in (f"era5_land_{month}_instant_0.part", f"era5_land_{month}_instant_0.part.json", "era5_land_x_0.part"):
        (parts / name).write_text("{}")
    fetch()
    assert [path.name for path in parts.iterdir()] == ["era5_land_x_0.part"]


@pytest.mark.parametrize(("edge", "stamp"), [("opening", "2015-01-31T21"), ("closing", "2015-04-01T00")])
def test_edges(service, tmp_path, fine, edge, stamp):
    def run(names):
        fetch_edge(
            tmp_path / "archive", edge, ("2015-02", "2015-03"), names, fine.lat, fine.lon, SETTINGS,
            tmp_path / "edge.json", tmp_path / "state", 0,
        )  # fmt: skip
        return manifest.read(tmp_path / "edge.json")

    made = run(NAMES)
    (member,) = made.files
    assert (made.month, member.first[:13], member.last[:13], member.variables) == (None, stamp, stamp, ["tp", "ssrd"])
    assert member.path.startswith(f"era5_land/2015/era5_land_{edge}_{stamp}_")
    assert run(NAMES) == made and len(service.asked) == 1
    assert run(("t2m",)).files == () and len(service.asked) == 1


def test_screen_tells_files(service, fetch):
    screen = io.StringIO()
    fetch(screen=screen)
    assert "2 of 2 files" in screen.getvalue().splitlines()[-1]
