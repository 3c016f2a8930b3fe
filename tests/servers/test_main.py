"""A command in an internet of its own: its environment, its exit status, and what is told afterwards."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.servers import __main__ as command
from tests.servers.conftest import ROOT

ASK = """
import os, sys, requests
print(os.environ["CDSAPI_URL"], os.environ["EARTHDATA_USERNAME"], os.environ.get("EARTHDATA_TOKEN"))
print(requests.get(os.environ["CDSAPI_URL"] + "/catalogue/v1/messages").json())
try:
    requests.get("https://example.org/")
except requests.exceptions.ProxyError:
    print("no way out")
sys.exit(3)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, world):
    """A working directory with the configuration, and the small world instead of the demo's."""
    shutil.copytree(f"{ROOT}/config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "World", lambda *arguments: world)
    monkeypatch.setenv("EARTHDATA_TOKEN", "a person's own")
    return tmp_path


def test_a_command_lives_in_the_small_internet(folder, world, capfd):
    status = command.main(["--configfile", "config/demo_fetch.yaml", "--", sys.executable, "-c", ASK])
    said = capfd.readouterr().out
    assert status == 3
    assert f"https://cds.climate.copernicus.eu/api {command.USER} None" in said
    assert "{'messages': []}" in said and "no way out" in said
    assert "cds.climate.copernicus.eu: 1" in said and "Refused: example.org (1 times)" in said
    assert (folder / "build/demo_fetch/elevation.tif").read_bytes() == world.elevation().read_bytes()


def test_overlays_are_laid_over_each_other(folder):
    (folder / "mine.yaml").write_text("run: mine\nfetch: {reserve_gb: 2}\n")
    merged = command._merged(command.BASE, "config/demo_fetch.yaml", "mine.yaml")
    assert (merged["run"], merged["source"], merged["fetch"]["reserve_gb"]) == ("mine", "fetch", 2)
    assert merged["fetch"]["retry"]["longest_wait_seconds"] == 2
