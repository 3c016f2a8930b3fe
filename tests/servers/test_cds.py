"""The local Climate Data Store, proven with the plain real client: what it says, what that client makes of faults."""

from __future__ import annotations

import hashlib
import zipfile

import cdsapi
import netCDF4
import numpy as np
import pytest
import requests

from tests.servers import cds_store
from tests.servers.cds import BASE, DATASET, HOST, KEY, Cds, fields_of
from tests.servers.cds_store import PART, checksum_of
from tests.servers.faults import Faults
from tests.waiting import wait_until

REQUEST = {
    "variable": ["volumetric_soil_water_layer_1", "2m_temperature"],
    "year": "2016",
    "month": "05",
    "day": ["01", "02"],
    "time": ["00:00", "03:00", "21:00"],
    "area": [32.5, 91.1, 32.0, 91.6],
    "data_format": "netcdf",
    "download_format": "unarchived",
}


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def cds(world, faults, net) -> Cds:
    service = Cds(world, faults, queue=0, work=0)
    service.net = net(service)
    return service


def client(**options) -> cdsapi.Client:
    return cdsapi.Client(**{"quiet": True, "progress": False, "sleep_max": 0.1, "retry_max": 3, "timeout": 2} | options)


def test_plain_client_retrieves_in_the_documented_sequence(cds, tmp_path):
    target = tmp_path / "file.nc"
    client().retrieve(DATASET, REQUEST, str(target))
    api = [(record.method, record.path.removeprefix("/api")) for record in cds.net.requests(HOST)]
    job = cds.jobs[0]
    assert api[:4] == [
        ("GET", "/catalogue/v1/messages"),
        ("GET", f"/retrieve/v1/processes/{DATASET}"),
        ("POST", f"/retrieve/v1/processes/{DATASET}/execution"),
        ("GET", f"/retrieve/v1/jobs/{job.id}"),
    ]
    assert api[-2:] == [("GET", f"/retrieve/v1/jobs/{job.id}"), ("GET", f"/retrieve/v1/jobs/{job.id}/results")]
    assert [record.method for record in cds.net.requests(cds_store.HOST)] == ["HEAD", "GET"]
    assert cds.net.refused == []


def test_delivered_file_holds_what_was_asked(cds, tmp_path):
    client().retrieve(DATASET, REQUEST, str(tmp_path / "file.nc"))
    with netCDF4.Dataset(tmp_path / "file.nc") as file:
        assert set(file.variables) == {"number", "valid_time", "latitude", "longitude", "expver", "swvl1", "t2m"}
        assert file["swvl1"].shape == (6, 6, 6)
        stamps = np.asarray(file["valid_time"][:]).astype("M8[s]").astype("M8[h]").astype(str).tolist()
        assert stamps == [f"2016-05-0{day}T{hour}" for day in (1, 2) for hour in ("00", "03", "21")]
        np.testing.assert_allclose(file["latitude"][:], np.arange(32.5, 31.95, -0.1))
        assert 0 < file["swvl1"][:].mean() < 0.6
        assert 200 < file["t2m"][:].mean() < 320


def test_key_goes_to_the_api_and_never_to_the_store(cds, tmp_path):
    client().retrieve(DATASET, REQUEST, str(tmp_path / "file.nc"))
    assert all(record.headers.get("private-token") == KEY for record in cds.net.requests(HOST))
    assert all("private-token" not in record.headers for record in cds.net.requests(cds_store.HOST))
    link = f"https://{cds_store.HOST}{cds.net.requests(cds_store.HOST)[0].path}"
    assert requests.get(link, headers={"PRIVATE-TOKEN": KEY}, timeout=5).status_code == 400


def test_mixed_step_types_come_as_a_zip(cds, tmp_path):
    request = REQUEST | {"variable": ["2m_temperature", "total_precipitation"]}
    client().retrieve(DATASET, request, str(tmp_path / "file"))
    names = zipfile.ZipFile(tmp_path / "file").namelist()
    assert names == ["data_stream-oper_stepType-accum.nc", "data_stream-oper_stepType-instant.nc"]


def test_equal_requests_give_equal_bytes(cds, tmp_path):
    for name in ("a.nc", "b.nc"):
        client().retrieve(DATASET, REQUEST, str(tmp_path / name))
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    assert len(cds.needless) == 1, "the second job for the same request is one too many"


def test_jobs_are_listed_by_status_and_age_and_remember_their_request(cds):
    native = client().client
    first = native.submit(DATASET, REQUEST)
    second = native.submit(DATASET, REQUEST | {"day": "03"})
    second.get_results()
    assert native.get_jobs(sortby="-created").request_ids == [second.request_id, first.request_id]
    assert native.get_jobs(sortby="created", limit=1).request_ids == [first.request_id]
    assert native.get_jobs(sortby="created", limit=1).next.request_ids == [second.request_id]
    assert native.get_jobs(status="failed").request_ids == []
    assert set(native.get_jobs(status=["successful", "running"]).request_ids) >= {second.request_id}
    assert native.get_remote(second.request_id).request == REQUEST | {"day": "03"}


def test_job_is_accepted_then_running_then_successful(cds):
    """Its times are changed while it is on its way, so that a look falls into each of them."""
    cds.pace(queue=1000.0, work=1000.0)
    remote = client().client.submit(DATASET, REQUEST)
    (job,) = cds.jobs
    seen = [remote.status]
    wait_until(lambda: job.content, "the file of the job")
    job.queue = 0.0
    seen.append(remote.status)
    job.work = 0.0
    seen.append(remote.status)
    assert seen == ["accepted", "running", "successful"]


def test_costing_and_cost_limit(cds):
    native = client().client
    cds.limit = 11
    assert fields_of(REQUEST) == 12
    costs = native.estimate_costs(DATASET, REQUEST)
    assert (costs["cost"], costs["limit"], costs["request_is_valid"]) == (12, 11, False)
    with pytest.raises(requests.HTTPError, match="cost limits exceeded"):
        native.submit(DATASET, REQUEST)
    assert cds.jobs == []


def test_account_calls(cds):
    native = client().client
    assert "sub" in native.check_authentication()
    assert [licence["id"] for licence in native.get_accepted_licences()] == ["cc-by"]
    cds.licences = []
    with pytest.raises(requests.HTTPError, match="Not all the required licences have been accepted"):
        native.submit(DATASET, REQUEST)
    native.accept_licence("cc-by", 1)
    remote = native.submit(DATASET, REQUEST)
    assert remote.delete()["status"] == "dismissed"
    assert native.delete(remote.request_id)["jobs"][0]["jobID"] == remote.request_id


@pytest.mark.parametrize("shape", ["md5", "leading_zero", "multipart"])
def test_three_shapes_of_checksum(world, net, tmp_path, shape):
    net(Cds(world, queue=0, work=0, shape=shape))
    results = client().client.submit(DATASET, REQUEST).get_results()
    results.download(str(tmp_path / "file.nc"))
    content = (tmp_path / "file.nc").read_bytes()
    md5, checksum = hashlib.md5(content).hexdigest(), results.asset["file:checksum"]
    assert results.asset["file:size"] == len(content)
    if shape == "multipart":
        assert checksum.zfill(32) == hashlib.md5(hashlib.md5(content).digest()).hexdigest()
    else:
        assert checksum.zfill(32) == md5
    assert (len(checksum) < 32) == md5.startswith("0") or shape == "multipart"
    assert md5.startswith("0") or shape != "leading_zero"
    with netCDF4.Dataset(tmp_path / "file.nc") as file:
        assert "t2m" in file.variables


def test_large_objects_are_multipart(tmp_path):
    path = tmp_path / "large"
    with open(path, "wb") as stream:
        stream.truncate(2 * PART + 1)
    parts = [hashlib.md5(b"\0" * PART).digest()] * 2 + [hashlib.md5(b"\0").digest()]
    etag = cds_store.etag_of(path, "md5")
    assert etag == f"{hashlib.md5(b''.join(parts)).hexdigest()}-3"
    assert checksum_of("00ab-3") == "ab"


def test_wrong_or_absent_key_is_refused(cds):
    with pytest.raises(requests.HTTPError, match="401 Client Error"):
        client(key="another").client.submit(DATASET, REQUEST)
    body = requests.get(f"{BASE}/retrieve/v1/jobs", timeout=5).json()
    assert body["title"] == "authentication required"
    assert set(body) == {"type", "title", "status", "detail", "instance", "trace_id"}


def test_unknown_things_are_not_found(cds):
    native = client().client
    for call, words in (
        (lambda: native.submit("reanalysis-nothing", REQUEST), "process not found"),
        (lambda: native.get_remote("0-0"), "job not found"),
        (lambda: native.submit(DATASET, REQUEST | {"variable": ["nothing"]}), "invalid request"),
    ):
        with pytest.raises(requests.HTTPError, match=words):
            call()


def test_months_that_do_not_exist_fail_with_the_words_of_the_service(cds):
    with pytest.raises(requests.HTTPError, match="None of the data you have requested is available yet"):
        client().retrieve(DATASET, REQUEST | {"year": "2049"}, "unused.nc")


#: What the plain client makes of some faults (of the many, those whose outcome differs in kind).
@pytest.mark.parametrize(
    ("fault", "times", "outcome"),
    [
        ("cds_503", 2, "file"),
        ("cds_503", 10**6, "503"),
        ("cds_429", 1, "file"),
        ("cds_asset_cut_late", 1, "file"),
        ("cds_head_405", 10, "file"),
        ("cds_failed", 1, "The job has failed"),
        ("cds_rejected", 1, "The job has been rejected"),
        ("cds_dismissed", 1, "dismissed"),
        ("cds_results_expired", 1, "results expired"),
        ("cds_wrong_size", 1, "downloaded"),
        ("cds_wrong_checksum", 1, "file"),
        ("cds_asset_link_expired", 1, "downloaded 0 byte"),
        ("cds_html_asset", 1, "mismatch|downloaded"),
    ],
)
def test_plain_client_under_faults(cds, faults, tmp_path, fault, times, outcome):
    wanted = tmp_path / "undisturbed.nc"
    client().retrieve(DATASET, REQUEST, str(wanted))
    faults.plant(fault, times)
    target = tmp_path / "file.nc"
    if outcome == "file":
        client().retrieve(DATASET, REQUEST, str(target))
        assert target.read_bytes() == wanted.read_bytes()
    else:
        with pytest.raises(Exception, match=outcome):
            client().retrieve(DATASET, REQUEST, str(target))
    assert faults.taken[fault] >= 1


def test_file_swapped_between_two_attempts_shows_in_its_etag_only(cds, faults, tmp_path):
    results = client().client.submit(DATASET, REQUEST).get_results()
    faults.plant("cds_swapped_on_resume")
    first = requests.get(results.location, timeout=5, stream=True)
    begun = first.raw.read(results.content_length // 2)
    assert first.headers["Content-Length"] == str(results.content_length)
    header = {"Range": f"bytes={len(begun)}-"}
    rest = requests.get(results.location, timeout=5, headers=header)
    whole = requests.get(results.location, timeout=5, headers=header | {"If-Range": first.headers["ETag"]})
    assert (rest.status_code, whole.status_code) == (206, 200)
    assert len(begun + rest.content) == len(whole.content)
    assert begun + rest.content != whole.content


def test_lost_answer_makes_the_plain_client_submit_twice(cds, faults, tmp_path):
    faults.plant("cds_post_answer_lost")
    client().retrieve(DATASET, REQUEST, str(tmp_path / "file.nc"))
    assert [job.needless for job in cds.jobs] == [False, True]
