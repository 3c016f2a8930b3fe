"""The local Earthdata against the plain earthaccess client: what it serves is what the real client expects."""

from __future__ import annotations

import hashlib
import warnings

import earthaccess
import h5py
import numpy as np
import pytest
import requests
from earthaccess.auth import Auth
from earthaccess.exceptions import DownloadFailure, EulaNotAccepted, LoginAttemptFailure
from earthaccess.store import Store

from tests.servers.earthdata import BUCKET, CMR, DATA, STORE, URS, Earthdata
from tests.servers.earthdata_login import LOGIN_PAGE
from tests.servers.faults import Faults

BOX = (91.0, 32.0, 91.9, 32.9)


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def edl(world, faults):
    return Earthdata(world, faults)


@pytest.fixture(autouse=True)
def fresh_client(monkeypatch):
    """Forget the client's own singletons, and its pauses between attempts."""
    monkeypatch.setattr(earthaccess, "_auth", Auth())
    monkeypatch.setattr(earthaccess, "_store", None)
    monkeypatch.setattr(Store._download_file.retry, "sleep", lambda seconds: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # DataGranule.size, which the client itself calls
        yield


def search(first="2016-05-01", last="2016-05-31", product="SPL3SMP", version="009", **more):
    return earthaccess.search_data(
        short_name=product, version=version, bounding_box=BOX, temporal=(first, last), **more
    )


def names(found):
    return sorted(granule["umm"]["GranuleUR"] for granule in found)


def download(found, folder):
    return sorted(earthaccess.download(found, local_path=folder, threads=2, show_progress=False))


def held(world, day):
    return [granule for granule in world.granules() if granule.day == day]


def test_login_search_download_with_user_and_password(net, edl, world, tmp_path):
    internet = net(edl)
    auth = earthaccess.login(strategy="environment")
    assert auth.authenticated and auth.token["token_type"] == "Bearer"
    posts = internet.requests(URS, "POST")
    assert [post.status for post in posts] == [401, 200]  # the hook sends the refused request again with Basic
    found = search("2016-05-01", "2016-05-03")
    expected = [granule for granule in world.granules() if "2016-05-01" <= granule.day <= "2016-05-03"]
    assert names(found) == sorted(granule.name for granule in expected)
    paths = download(found, tmp_path)
    assert {path.name: path.read_bytes() for path in paths} == {g.name: g.path.read_bytes() for g in expected}
    assert not any("authorization" in record.headers for record in internet.requests(STORE))
    assert set(internet.refused) <= {"169.254.169.254"}  # the client asks whether it runs in a certain cloud


def test_a_token_alone_is_enough(net, edl, monkeypatch, tmp_path):
    internet = net(edl)
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("EARTHDATA_TOKEN", edl.login.token())
    earthaccess.login(strategy="environment")
    assert len(download(search("2016-05-01", "2016-05-01"), tmp_path)) == 1
    assert not internet.requests(URS, "POST")


def test_wrong_password_is_refused(net, edl, monkeypatch):
    net(edl)
    monkeypatch.setenv("EARTHDATA_PASSWORD", "yak")
    with pytest.raises(LoginAttemptFailure, match="invalid_credentials"):
        earthaccess.login(strategy="environment")


def test_a_token_that_has_expired_is_refused_by_search_and_data_host(net, edl, monkeypatch, world):
    net(edl)
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name)
    good = edl.login.token()
    monkeypatch.setenv("EARTHDATA_TOKEN", good)
    auth = earthaccess.login(strategy="environment")
    link = search("2016-05-01", "2016-05-01")[0].data_links()[0]
    edl.login.expire_tokens()
    with pytest.raises(RuntimeError, match="expired"):
        search()
    answer = auth.get_session().get(link)
    assert answer.status_code == 401 and [step.status_code for step in answer.history] == [302]


def test_the_metadata_describe_the_file(net, edl, world):
    net(edl)
    earthaccess.login(strategy="environment")
    umm = search("2016-05-01", "2016-05-01")[0]["umm"]
    (granule,) = held(world, "2016-05-01")
    (info,) = umm["DataGranule"]["ArchiveAndDistributionInformation"]
    assert info["SizeInBytes"] == granule.path.stat().st_size
    assert info["Checksum"] == {"Value": hashlib.md5(granule.path.read_bytes()).hexdigest(), "Algorithm": "MD5"}
    assert umm["RelatedUrls"][0]["URL"].endswith(f"{BUCKET}/SMAP/SPL3SMP/009/2016/05/{granule.name}")


def test_many_granules_come_in_pages_of_two_thousand(net, edl, faults):
    internet = net(edl)
    faults.plant("cmr_many")
    earthaccess.login(strategy="environment")
    found = search()
    assert len(found) == len(set(names(found))) > 2000
    sizes = [record.query["page_size"] for record in internet.requests(CMR)]
    assert sizes == [["0"], ["0"], ["2000"], ["2000"]]
    assert "SMAP_L3_SM_P_20160531_R19240_001.h5" in names(found[2000:])


def test_pages_are_limited(net, edl):
    net(edl)
    session = earthaccess.login(strategy="environment").get_session()
    answer = session.get(f"https://{CMR}/search/granules.umm_json", params={"page_size": 2001, "short_name": "SPL3SMP"})
    assert answer.status_code == 400 and "page_size" in answer.json()["errors"][0]


@pytest.mark.parametrize("case", [{"version": "008"}, {"first": "2001-01-01", "last": "2001-12-31"}])
def test_what_the_provider_lacks_is_not_found(net, edl, case):
    net(edl)
    earthaccess.login(strategy="environment")
    assert search(**case) == []


def test_three_hourly_means_touch_the_next_day(net, edl):
    net(edl)
    earthaccess.login(strategy="environment")
    found = search("2016-05-02", "2016-05-02", "SPL4SMGP", "008")
    assert len(found) == 9  # the last of the first of May ends at 00 UTC of the second
    assert names(found)[0] == "SMAP_L4_SM_gph_20160501T223000_Vv8010_001.h5"


def test_a_refused_bearer_goes_through_the_login_host_once(net, edl, faults, tmp_path):
    internet = net(edl)
    faults.plant("edl_bearer_refused", 10**6)
    earthaccess.login(strategy="environment")
    paths = download(search("2016-05-01", "2016-05-01"), tmp_path)
    assert len(paths) == 1
    steps = [(record.host, record.path, record.status) for record in internet.log if record.host != CMR][-6:]
    data = internet.requests(DATA)[0].path
    oauth = [(URS, "/oauth/authorize", 401), (URS, "/oauth/authorize", 302), (DATA, "/login", 302)]
    assert steps == [(DATA, data, 302), *oauth, (DATA, data, 303), (STORE, data.removeprefix(f"/{BUCKET}"), 200)]


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("edl_eula", EulaNotAccepted, "Eula"),
        ("store_403", DownloadFailure, "403"),
        ("store_503", DownloadFailure, "503"),
    ],
)
def test_the_client_gives_up_after_three_attempts(net, edl, faults, fault, error, words, tmp_path):
    net(edl)
    faults.plant(fault, 10**6)
    earthaccess.login(strategy="environment")
    with pytest.raises(error, match=words):
        download(search("2016-05-01", "2016-05-01"), tmp_path)
    assert faults.taken[fault] == 3


def test_redirects_without_end_are_noticed(net, edl, faults, tmp_path):
    net(edl)
    faults.plant("edl_redirect_loop", 3)
    earthaccess.login(strategy="environment")
    with pytest.raises(requests.TooManyRedirects):
        download(search("2016-05-01", "2016-05-01"), tmp_path)


def test_what_the_plain_client_does_not_notice(net, edl, faults, world, tmp_path):
    """A login page, wrong bytes, and a cut without a length all end as granules: the reason for our own checks."""
    net(edl)
    earthaccess.login(strategy="environment")
    found = search("2016-05-01", "2016-05-01")
    truth = held(world, "2016-05-01")[0].path.read_bytes()
    got = {}
    for fault in ("data_html_200", "data_wrong_checksum", "data_group_missing"):
        faults.plant(fault)
        got[fault] = download(found, tmp_path / fault)[0].read_bytes()
    assert got["data_html_200"] == LOGIN_PAGE
    assert len(got["data_wrong_checksum"]) == len(truth) and got["data_wrong_checksum"] != truth
    with h5py.File(tmp_path / "data_group_missing" / found[0]["umm"]["GranuleUR"]) as file:
        assert "Soil_Moisture_Retrieval_Data_PM" not in file and "Soil_Moisture_Retrieval_Data_AM" in file
    faults.plant("store_cut", 2)
    assert len(download(found, tmp_path / "cut")[0].read_bytes()) == len(truth) // 2


def test_links_of_the_store_end_and_bear_ranges(net, edl, world):
    net(edl)
    session = earthaccess.login(strategy="environment").get_session()
    link = search("2016-05-01", "2016-05-01")[0].data_links()[0]
    truth = held(world, "2016-05-01")[0]
    store = session.get(link, allow_redirects=False).headers["Location"]
    whole = requests.get(store)
    assert whole.content == truth.path.read_bytes() and whole.headers["ETag"] == f'"{truth.md5}"'
    headers = {"Range": "bytes=1000-", "If-Range": whole.headers["ETag"]}
    part = requests.get(store, headers=headers)
    assert part.status_code == 206 and part.content == whole.content[1000:]
    assert requests.get(store, headers={**headers, "If-Range": '"another"'}).status_code == 200
    assert requests.head(store).status_code == 403  # signed for GET
    assert session.head(link, allow_redirects=True).headers["Content-Length"] == str(truth.size)
    assert "SignatureDoesNotMatch" in requests.get(store + "0").text
    assert "Only one auth" in requests.get(store, headers={"Authorization": "Bearer x"}).text
    edl.link_life = -1
    ended = session.get(link)
    assert ended.status_code == 403 and "Request has expired" in ended.text


def test_an_agreement_is_asked_for_in_json_or_as_a_page(net, edl, faults):
    net(edl)
    session = earthaccess.login(strategy="environment").get_session()
    link = search("2016-05-01", "2016-05-01")[0].data_links()[0]
    faults.plant("edl_eula", 2)
    assert session.get(link).json()["resolution_url"].startswith(f"https://{URS}/approve_app")
    page = session.get(link, headers={"User-Agent": "Mozilla/5.0"})
    assert page.status_code == 403 and "accept EULA" in page.text


def test_fine_granules_have_the_layout_of_the_products(net, edl, tmp_path):
    net(edl)
    earthaccess.login(strategy="environment")
    enhanced = download(search("2016-05-01", "2016-05-01", "SPL3SMP_E", "006"), tmp_path)[-1]
    with h5py.File(enhanced) as file:
        moisture = file["Soil_Moisture_Retrieval_Data_PM/soil_moisture_pm"]
        assert (
            moisture.shape == (1624, 3856) and moisture == file["Soil_Moisture_Retrieval_Data_PM/soil_moisture_dca_pm"]
        )
        assert file["Soil_Moisture_Retrieval_Data_Polar_AM/soil_moisture"].shape == (2000, 2000)
        rows = file["Soil_Moisture_Retrieval_Data_PM/EASE_row_index_pm"][:]
        known = rows != 65534
        assert known.any() and (rows == np.arange(1624)[:, None])[known].all()
        assert len(np.unique(moisture[:][known])) > 16
    gph = download(search("2016-05-01", "2016-05-01", "SPL4SMGP", "008")[:1], tmp_path)[0]
    with h5py.File(gph) as file:
        field = file["Geophysical_Data/sm_surface"]
        assert field.shape == (1624, 3856) and field.dims[0][0] == file["y"] and len(file["Geophysical_Data"]) > 40
        assert (file["cell_row"][:, 7] == np.arange(1624)).all()
