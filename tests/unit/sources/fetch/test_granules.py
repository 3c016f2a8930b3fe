"""Names, choice and calendar of SMAP granules."""

from __future__ import annotations

import random

import pytest

from pscnet.sources.fetch.granules import (
    OF_SOURCE,
    PRODUCTS,
    choose,
    expected,
    explain,
    from_catalogue,
    missing,
    when_of,
)

DATA = "https://data.nsidc.earthdatacloud.nasa.gov/nsidc-cumulus-prod-protected/SMAP"
MD5 = "0123456789abcdef0123456789abcdef"
SMP, SMP_E, L4 = (PRODUCTS[name] for name in ("SPL3SMP", "SPL3SMP_E", "SPL4SMGP"))


def entry(name: str, url: str | None = None, kind: str = "GET DATA", file: dict | None = None) -> dict:
    """A catalogue entry as NSIDC publishes it."""
    file = {"SizeInBytes": 31_561_000, "Checksum": {"Value": MD5.upper(), "Algorithm": "MD5"}} if file is None else file
    return {
        "meta": {"concept-id": f"G-{name}", "provider-id": "NSIDC_CPRD"},
        "umm": {
            "GranuleUR": name,
            "RelatedUrls": [
                {"URL": f"s3://nsidc-cumulus-prod-protected/SMAP/{name}", "Type": "GET DATA VIA DIRECT ACCESS"},
                {"URL": f"{DATA}/{name}.xml", "Type": "EXTENDED METADATA"},
                {"URL": url or f"{DATA}/{name}", "Type": kind},
            ],
            "DataGranule": {"ArchiveAndDistributionInformation": [{"Name": f"{name}.xml"}, {"Name": name, **file}]},
        },
    }


def smp(day: str, version: str = "R19240_001"):
    return from_catalogue(entry(f"SMAP_L3_SM_P_{day}_{version}.h5"), SMP)


def test_a_catalogue_entry_tells_day_version_size_and_checksum():
    granule = smp("20160501", "R19240_002")
    assert (granule.when, granule.day, granule.crid, granule.counter) == ("2016-05-01", "2016-05-01", 19240, 2)
    assert (granule.size, granule.checksum) == (31_561_000, ("MD5", MD5))
    assert granule.release == "R19240_002"
    assert granule.url == f"{DATA}/SMAP_L3_SM_P_20160501_R19240_002.h5"


@pytest.mark.parametrize(
    ("product", "name", "when"),
    [
        (SMP, "SMAP_L3_SM_P_20160501_R19240_001.h5", "2016-05-01"),
        (SMP_E, "SMAP_L3_SM_P_E_20160501_R19240_001.h5", "2016-05-01"),
        (SMP, "SMAP_L3_SM_P_E_20160501_R19240_001.h5", None),
        (SMP_E, "SMAP_L3_SM_P_20160501_R19240_001.h5", None),
        (L4, "SMAP_L4_SM_gph_20160501T223000_Vv8010_001.h5", "2016-05-01T22:30"),
        (L4, "SMAP_L4_SM_aup_20160501T223000_Vv8010_001.h5", None),
        (SMP, "../SMAP_L3_SM_P_20160501_R19240_001.h5", None),
        (SMP, "SMAP_L3_SM_P_20160501_R19240_001.h5.xml", None),
    ],
)
def test_names_tell_the_product_and_the_time(product, name, when):
    assert when_of(name, product) == when


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "VIEW RELATED INFORMATION"},
        {"url": "http://data.nsidc.earthdatacloud.nasa.gov/SMAP_L3_SM_P_20160501_R19240_001.h5"},
        {"url": "https://data.example.org/SMAP_L3_SM_P_20160501_R19240_001.h5"},
        {"url": "https://evilnasa.gov/SMAP_L3_SM_P_20160501_R19240_001.h5"},
        {"url": f"{DATA}/SMAP_L3_SM_P_20160501_R19240_001.qa"},
    ],
)
def test_an_entry_without_a_file_from_the_provider_is_left_out(broken, caplog):
    assert from_catalogue(entry("SMAP_L3_SM_P_20160501_R19240_001.h5", **broken), SMP) is None
    assert "without a file to download" in caplog.text


@pytest.mark.parametrize("file", [{}, {"SizeInBytes": 0, "Checksum": None}, {"Checksum": {"Algorithm": "MD5"}}])
def test_size_and_checksum_may_be_absent(file):
    granule = from_catalogue(entry("SMAP_L3_SM_P_20160501_R19240_001.h5", file=file), SMP)
    assert (granule.size, granule.checksum) == (None, None)


def test_the_highest_release_then_counter_is_chosen_in_any_order():
    rivals = [
        smp("20160501", "R18290_003"),
        smp("20160501", "R19240_002"),
        smp("20160501", "R19240_001"),
        smp("20160502"),
        smp("20160502"),
        smp("20160430"),
        smp("20160601"),
    ]
    for seed in range(5):
        random.Random(seed).shuffle(rivals)
        chosen = choose(rivals, SMP, "2016-05")
        assert {when: granule.release for when, granule in chosen.items()} == {
            "2016-05-01": "R19240_002",
            "2016-05-02": "R19240_001",
        }
        assert list(chosen) == sorted(chosen)


def test_the_calendar_has_each_day_once_and_eight_times_for_the_model_product():
    assert expected(SMP, "2016-02") == [f"2016-02-{day:02d}" for day in range(1, 30)]
    stamps = expected(L4, "2017-02")
    assert len(stamps) == 8 * 28
    assert stamps[:2] == ["2017-02-01T01:30", "2017-02-01T04:30"]
    assert stamps[-1] == "2017-02-28T22:30"


def test_missing_days_and_steps():
    present = set(expected(SMP, "2016-05")) - {"2016-05-03", "2016-05-31"}
    assert missing(SMP, "2016-05", present) == {"variables": [], "days": ["2016-05-03", "2016-05-31"]}
    present = set(expected(L4, "2016-05")) - {"2016-05-03T04:30", "2016-05-03T07:30"}
    assert missing(L4, "2016-05", present) == {
        "variables": ["SPL4SMGP at 2016-05-03 04:30", "SPL4SMGP at 2016-05-03 07:30"],
        "days": ["2016-05-03"],
    }
    assert missing(L4, "2016-05", expected(L4, "2016-05")) == {"variables": [], "days": []}


def test_known_outages_are_named():
    text = explain(["2019-06-18", "2019-06-19", "2019-07-23"])
    assert text == "2019-06-18 (the provider has none); 2019-06-19, 2019-07-23 (a known outage of the satellite)"
    assert explain([]) == ""


def test_each_source_has_its_product():
    assert {source: product.name for source, product in OF_SOURCE.items()} == {
        "smap": "SPL3SMP",
        "smap_e": "SPL3SMP_E",
        "smap_l4": "SPL4SMGP",
    }
