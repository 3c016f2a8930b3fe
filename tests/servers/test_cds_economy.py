"""No job, no question and no byte more than needed, also where several faults meet."""

from __future__ import annotations

import pytest

from pscnet.sources import manifest
from pscnet.sources.fetch import RefusedError, UnavailableError
from pscnet.sources.fetch.cds_state import State
from tests.servers import cds
from tests.servers.cds import HOST, Cds
from tests.servers.cds_scene import ALWAYS, REQUESTS, Place, Scene
from tests.servers.faults import Faults
from tests.servers.internet import Answer, Request
from tests.waiting import wait_until


@pytest.fixture
def scene(world, net, tmp_path) -> Scene:
    service = Cds(world, Faults(), queue=0.02, work=0.02)
    return Scene(service, net(service), Place(tmp_path / "run"))


def lists_of_jobs(scene: Scene) -> int:
    return len([record for record in scene.net.requests(HOST, "GET") if record.path.endswith("/v1/jobs")])


def submissions(scene: Scene) -> list[int]:
    """Statuses with which submissions were answered."""
    return [record.status for record in scene.net.requests(HOST, "POST") if record.path.endswith("/execution")]


def sent(scene: Scene) -> int:
    return sum(record.sent for record in scene.downloads())


def sent_whole(scene: Scene) -> int:
    """Where no download is cut: what they sent, of which the last bytes are counted when they are on their way."""
    wait_until(lambda: all(record.sent == record.length for record in scene.downloads()), "whole downloads")
    return sent(scene)


def size(scene: Scene) -> int:
    return sum(path.stat().st_size for path in scene.place.paths())


def test_undisturbed_month(scene):
    scene.place.fetch()
    assert submissions(scene) == [201] * REQUESTS
    assert lists_of_jobs(scene) == 0
    assert (len(scene.downloads()), sent_whole(scene)) == (REQUESTS, size(scene))


def test_job_that_came_to_nothing_is_not_looked_at_again(scene):
    """Its results have expired, and a new intention was stored when the process died: the list still shows it."""
    scene.place.fetch()
    lost = manifest.read(scene.place.output()).files[0]
    (scene.place.archive / lost.path).unlink()
    job = next(job for job in scene.cds.jobs if job.id == lost.provider_id)
    job.expired = True
    state = State(scene.place.archive, lost.request)
    state.over("its results have expired")
    state.intend()
    scene.net.log.clear()
    scene.place.fetch()
    assert lists_of_jobs(scene) > 0
    assert [record for record in scene.net.log if job.id in record.path] == []
    assert submissions(scene) == [201]


def test_refused_submission_leaves_nothing_to_look_for(scene):
    scene.faults.plant("cds_403_licence", ALWAYS)
    with pytest.raises(RefusedError):
        scene.place.fetch()
    scene.faults.clear()
    scene.place.fetch()
    assert lists_of_jobs(scene) == 0


def test_costly_request_is_cut_before_it_is_submitted(scene):
    scene.cds.limit = 300
    scene.place.fetch()
    assert set(submissions(scene)) == {201}


def test_file_with_the_announced_checksum_is_bad_at_once(scene):
    """The service's own file lacks a day: to download it again would be in vain."""
    scene.faults.plant("cds_day_missing")
    scene.place.fetch()
    assert len(scene.downloads()) == REQUESTS + 1


def test_checksum_that_disagrees_costs_one_more_download(scene):
    scene.faults.plant("cds_wrong_checksum", ALWAYS)
    scene.place.fetch()
    assert sent_whole(scene) == 2 * size(scene)
    assert len(scene.cds.jobs) == REQUESTS


def test_wrong_size_beside_a_right_checksum_costs_nothing(scene):
    scene.faults.plant("cds_wrong_size", ALWAYS)
    scene.place.fetch()
    assert sent_whole(scene) == size(scene)


def break_off(scene: Scene) -> None:
    """A run that ends with the beginning of each file: the line breaks, then the store refuses."""
    true_one, seen = scene.cds.store.answer, set()

    def answer(request: Request) -> Answer:
        if request.path in seen:
            return Answer(403)
        seen.add(request.path)
        return true_one(request)

    scene.faults.plant("cds_asset_cut_late", REQUESTS)
    scene.cds.store.answer = answer
    with pytest.raises(UnavailableError):
        scene.place.fetch(give_up=0.3)
    scene.cds.store.answer = true_one
    assert len([name for name in scene.place.leftovers() if name.endswith(".part")]) == REQUESTS


def test_cut_download_is_resumed_by_the_next_run(scene):
    """The first run ends in the middle of each file; the second one asks for the rest alone."""
    break_off(scene)
    assert sent(scene) > 0
    scene.place.fetch()
    assert sent(scene) <= size(scene) + REQUESTS
    assert len(scene.cds.jobs) == REQUESTS


def test_queued_jobs_are_picked_up_run_after_run(scene):
    scene.cds.pace(queue=100.0, work=0.1)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="picked up"):
            scene.place.fetch(deadline=0.2)
    for job in scene.cds.jobs:
        job.queue = 0.0
    scene.place.fetch()
    assert submissions(scene) == [201] * REQUESTS


def test_job_back_in_the_queue_is_waited_for_until_the_deadline_and_then_picked_up(scene):
    scene.faults.plant("cds_requeued", REQUESTS)
    scene.cds.requeued_for = 100.0
    for _ in range(10):
        with pytest.raises(UnavailableError, match="picked up"):
            scene.place.fetch(deadline=1.0)
        if scene.faults.taken["cds_requeued"] == REQUESTS:
            break  # on a slow machine the deadline may have come before
    assert scene.faults.taken["cds_requeued"] == REQUESTS
    for job in scene.cds.jobs:
        job.queue = 0.0
    scene.place.fetch()
    assert len(scene.cds.jobs) == REQUESTS


@pytest.mark.parametrize("shape", ["md5", "other_parts"])
def test_part_with_zeros_left_by_a_machine_that_was_switched_off_costs_a_download_and_no_job(
    world, net, tmp_path, shape
):
    service = Cds(world, Faults(), queue=0.02, work=0.02, shape=shape)
    scene = Scene(service, net(service), Place(tmp_path / "run"))
    scene.faults.plant("cds_no_checksum", ALWAYS)
    break_off(scene)
    parts = [scene.place.archive / ".fetch" / "parts" / name for name in scene.place.leftovers()]
    for part in [path for path in parts if path.suffix == ".part"]:
        whole = part.read_bytes()
        part.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    scene.place.fetch()
    assert len(scene.cds.jobs) == REQUESTS
    assert {path.read_bytes() for path in scene.place.paths()} == {job.content.read_bytes() for job in scene.cds.jobs}


def test_job_that_may_be_the_lost_one_is_waited_for_and_not_made_again(scene, monkeypatch):
    """Nothing shows the request of the only job there is."""
    monkeypatch.setattr(Cds, "_receipt", lambda self, request, job: Answer(404, b"{}"))
    monkeypatch.setattr(
        cds, "ROUTES", [row if "receipt" not in row[1] else (*row[:2], Cds._receipt) for row in cds.ROUTES]
    )
    scene.faults.plant("cds_post_answer_lost", ALWAYS)
    scene.faults.plant("cds_listed_bare", ALWAYS)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="may be that of this request"):
            scene.place.fetch()
    assert len(scene.cds.jobs) == REQUESTS
    scene.faults.clear()
    scene.place.fetch()
    assert len(scene.cds.jobs) == REQUESTS
