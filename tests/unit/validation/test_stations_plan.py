"""Which stations a run has, and when their files make it run again."""

from __future__ import annotations

import os

import pytest
import yaml

from pscnet.config import ConfigError
from pscnet.plan import Plan
from tests.unit.sources.stations.conftest import header_values, name_of


@pytest.fixture
def plan(repository, tmp_path, monkeypatch):
    """Plans of the real configuration with changes, in a folder of their own."""
    keys = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return lambda **changes: Plan(keys | changes)


def test_stations_are_validated_where_there_are_any(plan):
    assert "stations" not in plan().validations
    assert plan().stations_digest() == ""
    named = plan(stations="/data/ismn.zip")
    assert "stations" in named.validations and named.station_sources == ["/data/ismn.zip"]
    assert f"results/{named.run}/validation/stations.json" in named.validation_files
    assert plan(stations=["a.zip", "b.yaml"]).station_sources == ["a.zip", "b.yaml"]
    assert named.simulated_stations == []


def test_the_twin_has_its_own(plan):
    twin = plan(source="twin", stations="/data/ismn.zip")
    assert twin.station_sources == [f"build/{twin.run}/twin/raw/ismn"]
    assert twin.simulated_stations == [f"build/{twin.run}/twin/stations.json"]
    assert twin.stations_digest() == "", "the listing stands in the place of the files"


def test_changed_files_change_the_digest_and_touched_ones_do_not(plan, tmp_path):
    path = tmp_path / "ismn" / "CTP" / "BJ" / name_of()
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(header_values()))
    before = plan(stations="ismn").stations_digest()
    os.utime(path, (1, 1))
    assert plan(stations="ismn").stations_digest() == before
    path.write_text(path.read_text().replace("0.1453", "0.1454"))
    assert plan(stations="ismn").stations_digest() != before


def test_files_that_are_not_there_stop_no_plan(plan):
    assert plan(stations="gone").stations_digest() != ""


@pytest.mark.parametrize("value", [5, [], [1], "", {"path": "x"}])
def test_a_key_of_another_kind_is_named(plan, value):
    with pytest.raises(ConfigError, match=r"stations: a path expected .*or a list of paths"):
        plan(stations=value)


def test_the_product_does_not_depend_on_stations(plan):
    assert plan().config_hash() == plan(stations="ismn").config_hash()
    assert plan().config_hash() == plan(validation={"stations": {"min_stamps": 50}}).config_hash()
