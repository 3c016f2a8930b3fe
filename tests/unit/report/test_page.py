"""The page: whole in one file, honest about what is missing, and it runs in a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zlib

import numpy as np
import pytest
import xarray as xr

from pscnet.report.inputs import ReportError, read_month, read_retrievals
from pscnet.report.packing import FROZEN, NOTHING, pack, pack_within, quantise
from pscnet.report.page import PAGE_LIMIT, write_page
from pscnet.validation.score_run import score_run

SUMMARY = {
    "run": "made_up",
    "period": "2016-07 to 2016-08",
    "region": {"lat": [31.5, 33.5], "lon": [90.0, 93.0]},
    "inputs": {"note": "<script>alert(1)</script>"},
    "commit": "0123abc",
}


@pytest.fixture(scope="module")
def arguments(made_up_run, tmp_path_factory) -> dict:
    """Keyword arguments of ``write_page`` for the made-up run."""
    folder = tmp_path_factory.mktemp("page")
    scored = {name: folder / name for name in ("scores_json", "scores_csv", "places_nc")}
    score_run(**made_up_run.arguments(**scored))
    curve = folder / "pscnet.csv"
    curve.write_text("epoch,train_loss,validation_loss,seconds\n1,0.9,1.0,2.0\n2,0.5,0.7,2.0\n3,0.4,0.65,2.1\n")
    check = folder / "product_2016-08.json"
    check.write_text(json.dumps({"file": "sm_made_up.nc", "complaints": [], "coverage": 1.0}))
    return {
        "page": folder / "report.html",
        "figures": folder / "figures",
        "product": made_up_run.paths("product")[1],
        "smap": made_up_run.paths("smap"),
        "references": made_up_run.paths("fields")[1],
        "scores": scored["scores_json"],
        "places": scored["places_nc"],
        "training_curve": curve,
        "checks": [check],
        "summary": SUMMARY,
    }


@pytest.fixture(scope="module")
def page(arguments) -> str:
    return write_page(**arguments).read_text(encoding="utf-8")


def _data(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def test_the_page_needs_no_network_and_is_small(page, arguments):
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\((?!data:)", page)
    assert all(link.startswith("data:") for link in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert arguments["page"].stat().st_size < min(PAGE_LIMIT, 2_000_000)
    assert "default-src 'none'" in page


def test_what_was_run_is_shown_and_escaped(page):
    assert "0123abc" in page and "31.5, 33.5" in page and "made_up" in page
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page


def test_the_tables_are_there(page):
    assert "Agreement with SMAP, 36 km" in page and "Against the simulated truth" in page
    assert "What was to be reached" in page and "SMAP, interpolated" in page
    assert "accuracy" not in page.lower()
    assert page.count("no complaint") == 1


def test_every_image_has_words(page):
    assert all(' alt="' in tag for tag in re.findall(r"<img[^>]*>", page))
    assert all("aria-" in tag for tag in re.findall(r"<canvas[^>]*>", page))


def test_the_fields_come_back_from_the_page(page, made_up_run):
    data = _data(page)
    month = read_month(made_up_run.paths("product")[1], made_up_run.paths("fields")[1])
    codes = np.frombuffer(zlib.decompress(base64.b64decode(data["fields"]["pscnet"])), np.uint8).reshape(data["shape"])
    codes = np.cumsum(codes, axis=0, dtype=np.uint8)
    land = np.isfinite(month.moisture)
    assert (codes[~land] == NOTHING).all()
    error = codes[land] * data["high"] / 253 - np.maximum(month.moisture[land], 0)
    assert np.abs(error).max() <= data["high"] / 506 + 1e-6
    assert len(data["hours"]) == data["shape"][0] == 248
    assert set(data["fields"]) == {"pscnet", "sigma", "era5_land"}
    assert "truth" in data["places"][0]["lines"] and "truth" not in data["fields"]


def test_codes_of_missing_values():
    values = np.array([0.0, 0.5, 2.0, np.nan, np.nan])
    frozen = np.array([False, False, True, True, False])
    assert quantise(values, 1.0, frozen).tolist() == [0, 126, 253, FROZEN, NOTHING]


def test_long_months_are_thinned_to_fit():
    noise = {"a": np.random.default_rng(0).integers(0, 256, (64, 40, 40)).astype(np.uint8)}
    whole = len(pack(noise["a"]))
    stride, packed = pack_within(noise, whole // 3)
    assert stride == 4 and len(packed["a"]) <= whole // 3
    assert pack_within(noise, whole)[0] == 1


def test_latest_retrievals(made_up_run):
    month = read_month(made_up_run.paths("product")[1], None)
    retrievals = read_retrievals(made_up_run.paths("smap"), month.times[0])
    first = np.nanmin(retrievals.times.astype("i8")[~np.isnat(retrievals.times)])
    assert first >= (month.times[0] - np.timedelta64(5, "D")).astype("i8")
    stamp = month.times[100]
    value, age = retrievals.latest(stamp)
    for y, x in [(0, 0), (2, 3)]:
        ages = (stamp - retrievals.times[:, y, x]) / np.timedelta64(1, "h")
        usable = [i for i, a in enumerate(ages) if -1.5 <= a <= 72]
        if not usable:
            assert np.isnan(value[y, x])
            continue
        newest = min(usable, key=lambda i: ages[i])
        assert value[y, x] == retrievals.moisture[newest, y, x] and age[y, x] == ages[newest]


def test_figures_are_drawn(page, arguments):
    for name in ("map", "series", "scores"):
        assert (arguments["figures"] / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_run_without_truth_has_a_page(made_up_run, arguments, tmp_path):
    scored = {name: tmp_path / name for name in ("scores_json", "scores_csv", "places_nc")}
    score_run(**made_up_run.arguments(truths=[], **scored))
    changes = {"scores": scored["scores_json"], "places": scored["places_nc"], "references": None}
    changes |= {"training_curve": None, "checks": [], "page": tmp_path / "r.html", "figures": tmp_path}
    text = write_page(**(arguments | changes)).read_text(encoding="utf-8")
    assert "simulated truth" not in text and "Training</h2>" not in text
    assert set(_data(text)["fields"]) == {"pscnet", "sigma"}


def test_bad_input_is_named_and_the_old_page_stays(made_up_run, arguments, tmp_path):
    old = tmp_path / "report.html"
    old.write_text("old")
    broken = tmp_path / "product.nc"
    with xr.open_dataset(made_up_run.paths("product")[1]) as product:
        product.drop_vars("flag").to_netcdf(broken)
    with pytest.raises(ReportError, match=r"product.nc: expected the variables .*flag missing"):
        write_page(**(arguments | {"page": old, "product": broken}))
    with pytest.raises(ReportError, match="expected the stamps and cells"):
        write_page(**(arguments | {"page": old, "references": made_up_run.paths("fields")[0]}))
    curve = tmp_path / "curve.csv"
    curve.write_text("epoch,loss\n1,2\n")
    with pytest.raises(ReportError, match=r"curve.csv: expected the columns epoch"):
        write_page(**(arguments | {"page": old, "training_curve": curve}))
    assert old.read_text() == "old"


# In a browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def _open(browser: str, path, profile) -> subprocess.CompletedProcess:
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr "
        "--virtual-time-budget=10000 --dump-dom"
    )
    command = [browser, *flags.split(), f"--user-data-dir={profile}", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser on PATH (looked for {', '.join(BROWSERS)})")
    return found


def test_the_page_names_the_net_that_made_the_product(page, arguments, tmp_path):
    other = {"page": tmp_path / "report.html", "figures": tmp_path, "summary": SUMMARY | {"model": {"name": "unet"}}}
    text = write_page(**arguments | other).read_text(encoding="utf-8")
    for shown in ("U-Net (product)", '<option value="pscnet">U-Net, 10 km</option>'):
        assert shown in text
        assert shown.replace("U-Net", "PSCNet") in page
        assert shown.replace("U-Net", "PSCNet") not in text
    assert (_data(text)["net"], _data(text)["names"]["pscnet"]) == ("U-Net", "U-Net, 10 km")


def test_the_page_runs_in_a_browser(page, arguments, browser, tmp_path):
    result = _open(browser, arguments["page"], tmp_path / "profile")
    assert 'data-ready="true"' in result.stdout, result.stderr[-2000:]
    assert "data-error" not in result.stdout.split("<body")[0]
    assert not re.search(r"CONSOLE.*(error|refused|uncaught)", result.stderr, re.I), result.stderr[-2000:]
    stamp = re.search(r'id="stamp"[^>]*>([^<]*)<', result.stdout).group(1)
    assert stamp == "2016-08-16 12:00 UTC"
    assert re.search(r'id="readout"[^>]*>[^<]*PSCNet 0\.\d{3} ± 0\.\d{3}', result.stdout)


def test_slider_click_and_layers_work(page, browser, tmp_path):
    script = """<script>
    const wait = setInterval(() => {
      if (document.documentElement.dataset.ready !== "true") return;
      clearInterval(wait);
      const say = (key, id) => { document.body.dataset[key] = document.getElementById(id).textContent; };
      say("before", "readout");
      document.getElementById("time").value = 3;
      document.getElementById("time").dispatchEvent(new Event("input"));
      say("moved", "stamp");
      const fine = document.getElementById("fine"), box = fine.getBoundingClientRect();
      const at = { clientX: box.left + 2, clientY: box.top + 2, bubbles: true };
      fine.dispatchEvent(new MouseEvent("click", at));
      say("sea", "readout");
      document.getElementById("layer").value = "sigma";
      document.getElementById("layer").dispatchEvent(new Event("change"));
      say("unit", "unit");
    }, 20);
    </script></body>"""
    driven = tmp_path / "driven.html"
    driven.write_text(page.replace("</body>", script), encoding="utf-8")
    body = re.search(r"<body[^>]*>", _open(browser, driven, tmp_path / "profile").stdout).group(0)
    said = dict(re.findall(r'data-(\w+)="([^"]*)"', body))
    assert "PSCNet 0." in said["before"]
    assert said["moved"] == "2016-08-01 09:00 UTC"
    assert said["sea"].startswith("33.5° N, 90.0° E · no value")
    assert said["unit"].startswith("right: uncertainty")


def test_the_browser_test_sees_a_broken_page(page, browser, tmp_path):
    """The control: damaged data must not count as ready."""
    broken = tmp_path / "broken.html"
    broken.write_text(page.replace('"fields":{"pscnet":"', '"fields":{"pscnet":"AAAA'), encoding="utf-8")
    result = _open(browser, broken, tmp_path / "profile")
    assert 'data-ready="true"' not in result.stdout and "data-error" in result.stdout
