"""Every fault of the Climate Data Store against the real fetch of a month: recovered to the byte, or a clear error.

An undisturbed fetch says how the archive must look. A fault that is ``recovered`` ends in the same archive within the
same run; an ``error`` says what to do, loses nothing, and the next run completes the archive once the cause is gone.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from pscnet.sources import manifest
from pscnet.sources.era5_files import opened
from pscnet.sources.fetch import DamagedError, FetchError, RefusedError, UnavailableError
from pscnet.sources.fetch.era5_land import fetch_edge
from tests.servers import cds_store
from tests.servers.cds import HOST, Cds
from tests.servers.cds_scene import ALWAYS, MONTH, OTHER_MONTH, REQUESTS, Place, Scene, settings
from tests.servers.conftest import LAT, LON, MONTHS, PREDICTORS, living_in
from tests.servers.fast import FAST
from tests.servers.faults import OTHER_FILES, Faults
from tests.servers.internet import Record


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory) -> Place:
    """What an undisturbed fetch leaves."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch, living_in(place.folder, patch) as net:
        cds = Cds(world)
        made = net(cds)
        place.fetch()
        assert len(cds.jobs) == REQUESTS
        assert made.refused == []
    return place


@pytest.fixture
def scene(world, net, tmp_path) -> Scene:
    cds = Cds(world, Faults(), queue=0.02, work=0.02)
    return Scene(cds, net(cds), Place(tmp_path / "run"))


# --- recovered faults


@dataclass(frozen=True)
class Recovery:
    """How a fault is planted, and what else is true after it.

    ``times`` it happens; ``jobs`` is the number of jobs that the service sees (None: left to chance); ``beside`` are
    faults without which it would not happen; ``also`` is a check of its own.
    """

    times: int = 1
    jobs: int | None = REQUESTS
    beside: tuple[str, ...] = ()
    also: Callable[[Scene], None] | None = None


def _waited_as_told(scene: Scene) -> None:
    limited = [record for record in scene.net.log if record.status == 429]
    assert len(limited) == 1
    same = [record.at for record in scene.net.log if (record.method, record.path) == _call(limited[0])]
    assert len(same) > REQUESTS
    assert max(same) - limited[0].at >= scene.cds.retry_after


def _call(record: Record) -> tuple[str, str]:
    return record.method, record.path


def _asked_before_submitting_again(scene: Scene) -> None:
    lists = [record for record in scene.net.requests(HOST, "GET") if record.path.endswith("/v1/jobs")]
    assert lists, "nobody looked whether the job exists"


def _resumed(scene: Scene) -> None:
    assert any(record.status == 206 and record.start > 0 for record in scene.downloads())
    sent = sum(record.sent for record in scene.downloads())
    assert sent <= 1.02 * sum(path.stat().st_size for path in scene.place.paths())


def _given_up_soon(scene: Scene) -> None:
    """The hanging download is dropped when the watchdog says so, and not after minutes."""
    first = next(record for record in scene.downloads() if record.sent < record.length)
    following = [record for record in scene.downloads() if record.path == first.path and record.at > first.at]
    watchdog = FAST["retry"]["stall_seconds"]
    assert 0.9 * watchdog < following[0].at - first.at < 10 * watchdog
    _resumed(scene)


def _began_anew(scene: Scene) -> None:
    assert len([record for record in scene.downloads() if record.status == 200]) == REQUESTS + 1


def _quarantined_with_reason(scene: Scene) -> None:
    bad = scene.place.quarantined()
    assert bad
    for path in bad:
        assert len(path.with_name(f"{path.name}.reason.txt").read_text()) > 20


def _head_was_armed(scene: Scene) -> None:
    """A fetch that needs no HEAD cannot fall over one: show that the server would have refused it."""
    assert scene.net.requests(cds_store.HOST, "HEAD") == []
    link = f"https://{cds_store.HOST}{scene.downloads()[0].path}"
    assert requests.head(link, timeout=5).status_code in (403, 405)


def _paused_between_jobs(scene: Scene) -> None:
    """A service that is out of order for a while is not asked again at once."""
    begun: dict[str, list[float]] = {}
    for job in scene.cds.jobs:
        begun.setdefault(job.key, []).append(job.created)
    shortest = 0.5 * FAST["retry"]["longest_wait_seconds"]
    assert all(b - a >= shortest for times in begun.values() for a, b in itertools.pairwise(times))


def _split(scene: Scene) -> None:
    assert REQUESTS < len(scene.place.paths()) == len(scene.cds.jobs) <= 6
    assert max(len(job.request["variable"]) for job in scene.cds.jobs) < 3


def _downloaded_twice_each(scene: Scene) -> None:
    assert len(scene.downloads()) == 2 * REQUESTS


def _downloaded_once_each(scene: Scene) -> None:
    assert len(scene.downloads()) == REQUESTS


def _fresh_link(scene: Scene) -> None:
    assert len({record.path for record in scene.downloads()}) == REQUESTS + 1


def _zip_kept(scene: Scene) -> None:
    assert [path.suffix for path in scene.place.paths()].count(".zip") == 1


RECOVERED = {
    "cds_403_cost": Recovery(jobs=None, also=_split),
    "cds_429": Recovery(also=_waited_as_told),
    "cds_500": Recovery(times=3),
    "cds_502_html": Recovery(times=3),
    "cds_503": Recovery(times=3),
    "cds_504": Recovery(times=3),
    "cds_403_maintenance": Recovery(times=9),
    "cds_html_404": Recovery(times=5),
    "cds_post_answer_lost": Recovery(times=2, also=_asked_before_submitting_again),
    "cds_failed": Recovery(times=3, jobs=REQUESTS + 3, also=_paused_between_jobs),
    "cds_rejected_load": Recovery(times=6, jobs=REQUESTS + 6, also=_paused_between_jobs),
    "cds_dismissed": Recovery(jobs=REQUESTS + 1),
    "cds_results_not_ready": Recovery(times=2),
    "cds_results_expired": Recovery(jobs=REQUESTS + 1),
    "cds_requeued": Recovery(times=2),
    "cds_listed_gone": Recovery(beside=("cds_post_answer_lost",)),
    "cds_listed_bare": Recovery(times=ALWAYS, beside=("cds_post_answer_lost",)),
    "cds_504_late": Recovery(times=REQUESTS),
    "cds_asset_cut_early": Recovery(also=_resumed),
    "cds_asset_cut_late": Recovery(also=_resumed),
    "cds_asset_cut_unannounced": Recovery(also=_resumed),
    "cds_no_ranges": Recovery(also=_began_anew),
    "cds_ranges_ignored": Recovery(),
    "cds_head_403": Recovery(times=ALWAYS, also=_head_was_armed),
    "cds_head_405": Recovery(times=ALWAYS, also=_head_was_armed),
    "cds_asset_link_expired": Recovery(also=_fresh_link),
    "cds_store_refuses": Recovery(times=20),
    "cds_no_checksum": Recovery(times=ALWAYS, also=_downloaded_once_each),
    "cds_wrong_size": Recovery(times=ALWAYS),
    "cds_wrong_checksum": Recovery(times=ALWAYS, also=_downloaded_twice_each),
    "cds_swapped_on_resume": Recovery(),
    "cds_stall": Recovery(also=_given_up_soon),
    "cds_trickle": Recovery(also=_given_up_soon),
    "cds_zip_unasked": Recovery(also=_zip_kept),
    "cds_zip_empty": Recovery(jobs=REQUESTS + 1, also=_quarantined_with_reason),
    "cds_zip_truncated": Recovery(jobs=REQUESTS + 1, also=_quarantined_with_reason),
    "cds_day_missing": Recovery(jobs=REQUESTS + 1, also=_quarantined_with_reason),
    "cds_variable_missing": Recovery(jobs=REQUESTS + 1, also=_quarantined_with_reason),
    "cds_html_asset": Recovery(),
}


@pytest.mark.parametrize("fault", RECOVERED)
def test_fault_is_recovered(scene, undisturbed, fault):
    case = RECOVERED[fault]
    scene.faults.plant(fault, case.times)
    for name in case.beside:
        scene.faults.plant(name)
    scene.place.fetch()
    if case.also is not None:
        case.also(scene)
    assert scene.faults.taken[fault] >= min(case.times, 3 if case.times < ALWAYS else 1)
    assert case.jobs in (None, len(scene.cds.jobs))
    scene.assert_complete(undisturbed, same_bytes=fault not in OTHER_FILES)


# --- errors


@dataclass(frozen=True)
class Stop:
    """With which error a fault stops a run, and the words that it must say.

    ``jobs`` may be made in both runs; ``deadline`` is that of the first run [s].
    """

    kind: type[FetchError]
    words: tuple[str, ...]
    jobs: int = REQUESTS
    deadline: float = 60.0


ERRORS = {
    "cds_401": Stop(RefusedError, ("personal access token", "CDSAPI_KEY")),
    "cds_403_licence": Stop(RefusedError, ("licence", "manage-licences", "accept")),
    "cds_400_invalid": Stop(RefusedError, ("invalid request",)),
    "cds_404_dataset": Stop(RefusedError, ("process not found", "reanalysis-era5-land")),
    "cds_stuck": Stop(UnavailableError, ("picked up",), deadline=1.0),
    "cds_no_data": Stop(RefusedError, ("None of the data", "end the period earlier"), 2 * REQUESTS),
    "cds_rejected": Stop(RefusedError, ("reject", "start again"), 2 * REQUESTS),
}


@pytest.mark.parametrize("fault", ERRORS)
def test_fault_stops_with_a_clear_error_and_the_next_run_goes_on(scene, undisturbed, fault):
    case = ERRORS[fault]
    scene.place.fetch(OTHER_MONTH, ("tp",))
    good, before = scene.place.files(OTHER_MONTH), len(scene.cds.jobs)
    scene.faults.plant(fault, ALWAYS)
    with pytest.raises(case.kind) as stopped:
        scene.place.fetch(deadline=case.deadline)
    assert type(stopped.value) is case.kind
    for words in (*case.words, MONTH):
        assert re.search(words, str(stopped.value), re.IGNORECASE), f"{words!r} is not in {stopped.value}"
    assert scene.faults.taken[fault] >= 1
    assert not scene.place.output().exists(), "a manifest of an incomplete month"
    assert scene.place.files(OTHER_MONTH) == good
    scene.faults.clear()
    submitted = [job.id for job in scene.cds.jobs[before:]]
    scene.place.fetch()
    if fault == "cds_stuck":
        assert [job.id for job in scene.cds.jobs[before:]] == submitted, "queued jobs were not picked up"
        assert len(submitted) == REQUESTS
    assert len(scene.cds.jobs) - before <= case.jobs
    scene.assert_complete(undisturbed)
    assert scene.place.files(OTHER_MONTH) == good


# --- faults that do not go away by themselves


@dataclass(frozen=True)
class Lasting:
    """As :class:`Stop`, for a fault that is recovered from when it happens once, and here never ends."""

    kind: type[FetchError]
    words: tuple[str, ...]
    jobs: int


LASTING = {
    "cds_503": Lasting(UnavailableError, ("503", "start"), 0),
    "cds_asset_link_expired": Lasting(UnavailableError, ("403", "start again"), REQUESTS),
    "cds_failed": Lasting(UnavailableError, ("retrieval from tape failed",), 5 * REQUESTS),
    "cds_day_missing": Lasting(DamagedError, ("quarantine",), 2 * REQUESTS),
    "cds_html_asset": Lasting(UnavailableError, ("HTML",), REQUESTS),
}


@pytest.mark.parametrize("lasting", LASTING)
def test_lasting_fault_ends_in_an_error_and_the_next_run_goes_on(scene, undisturbed, lasting):
    case = LASTING[lasting]
    scene.faults.plant(lasting, ALWAYS)
    with pytest.raises(case.kind) as stopped:
        scene.place.fetch(give_up=1.5)
    for words in case.words:
        assert re.search(words, str(stopped.value), re.IGNORECASE), f"{words!r} is not in {stopped.value}"
    assert len(scene.cds.jobs) <= case.jobs
    assert scene.place.paths() == [] and not scene.place.output().exists()
    scene.faults.clear()
    scene.place.fetch()
    scene.assert_complete(undisturbed)


# --- without any fault


def test_second_run_asks_for_nothing(scene, undisturbed):
    scene.place.fetch()
    scene.net.log.clear()
    scene.place.fetch()
    assert scene.net.log == []
    scene.assert_complete(undisturbed)


def test_only_the_file_that_was_lost_is_fetched_again(scene, undisturbed):
    scene.place.fetch()
    scene.net.log.clear()
    scene.place.paths()[0].unlink()
    scene.place.fetch()
    assert len(scene.downloads()) == 1
    assert scene.place.files() == undisturbed.files()


def test_damaged_file_is_put_aside_and_fetched_again(scene, undisturbed):
    scene.place.fetch()
    damaged = scene.place.paths()[0]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    scene.place.fetch()
    assert [path.stat().st_size for path in scene.place.quarantined()] == [damaged.stat().st_size - 100]
    assert scene.place.files() == undisturbed.files()


@pytest.mark.parametrize("shape", ["md5", "leading_zero", "multipart"])
def test_every_shape_of_checksum_is_understood_at_once(world, net, tmp_path, undisturbed, shape):
    cds = Cds(world, shape=shape)
    scene = Scene(cds, net(cds), Place(tmp_path / "run"))
    scene.place.fetch()
    assert len(scene.downloads()) == REQUESTS, "a right checksum was taken for a wrong one"
    scene.assert_complete(undisturbed, same_bytes=shape != "leading_zero")


def test_request_above_the_limit_is_split_without_asking_for_it(scene, undisturbed):
    scene.cds.limit = 300
    scene.place.fetch()
    assert len(scene.cds.jobs) == len(PREDICTORS)
    scene.assert_complete(undisturbed, same_bytes=False)


def test_host_that_nobody_knows_is_never_contacted(scene):
    scene.place.fetch()
    assert {record.host for record in scene.net.log} == {HOST, cds_store.HOST}
    assert scene.net.refused == []


def test_contact_with_an_unknown_host_would_be_seen(world, net, tmp_path):
    cds = Cds(world)
    cds.hosts = (HOST,)  # the store is unknown here
    internet = net(cds)
    with pytest.raises(UnavailableError):
        Place(tmp_path / "run").fetch(give_up=0.3)
    assert set(internet.refused) == {cds_store.HOST}


def test_key_never_reaches_the_store(scene):
    scene.place.fetch()
    assert scene.downloads()
    assert not any("private-token" in record.headers for record in scene.downloads())


@pytest.mark.parametrize("edge", ["opening", "closing"])
def test_edges_are_fetched_through_faults(scene, edge):
    output = scene.place.folder / f"{edge}.json"
    for fault in ("cds_503", "cds_post_answer_lost", "cds_asset_cut_late"):
        scene.faults.plant(fault)
    fetch_edge(
        archive=scene.place.archive,
        edge=edge,
        period=(MONTHS[0], MONTHS[-1]),
        variables=list(PREDICTORS),
        lat=LAT,
        lon=LON,
        settings=settings(),
        output=output,
        state_file=scene.place.folder / f"{edge}.state",
        state="7",
    )
    stamp = {"opening": "2016-04-30T21", "closing": "2016-08-01T00"}[edge]
    listed = manifest.read(output)
    assert (listed.month, [Path(entry.path).name[: len(f"era5_land_{edge}_{stamp}")] for entry in listed.files]) == (
        None,
        [f"era5_land_{edge}_{stamp}"],
    )
    with opened(listed.paths()) as pieces:
        assert {
            name: [str(time)[:13] for time in piece.time_of(name)] for piece in pieces for name in piece.variables
        } == {
            "tp": [stamp],
            "ssrd": [stamp],
        }
    assert scene.cds.needless == []
    assert scene.net.refused == []
